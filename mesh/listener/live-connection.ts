/**
 * One open connection: what runs on it, and how it is told to end without losing what runs.
 * It stands alone because HTTP/1.1 and h2 end in different ways and everything else must not care.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Connection } from '#mesh/identity';

export type RawRequest = IncomingMessage | Http2ServerRequest;
export type RawResponse = ServerResponse | Http2ServerResponse;

/** RFC 9113 §6.8: the highest stream id there is; a GOAWAY with it refuses nothing that is already on its way. */
const anyStreamId = 2 ** 31 - 1;

export interface RetireOptions {
  /** After this the connection is destroyed with whatever still runs on it. */
  readonly graceMs: number;
  /** How long an idle connection may still send a request that is already on its way. */
  readonly lingerMs: number;
}

export class LiveConnection {
  readonly connection: Connection;
  readonly socket: Socket;
  /** Resolves when the socket has closed. */
  readonly closed: Promise<void>;
  readonly #session: ServerHttp2Session | undefined;
  readonly #active = new Set<RawResponse>();
  #lingerMs: number | undefined;
  #upgraded = false;
  #forced = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(connection: Connection, socket: Socket, session?: ServerHttp2Session) {
    this.connection = connection;
    this.socket = socket;
    this.#session = session;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const timer of this.#timers) clearTimeout(timer);
        resolve();
      });
    });
  }

  /** True when the connection was destroyed with work still running on it. */
  get forced(): boolean {
    return this.#forced;
  }

  get busy(): boolean {
    return this.#upgraded || this.#active.size > 0;
  }

  /** True when an answer on this connection has begun: nothing else may be written to an HTTP/1.1 socket then. */
  get answering(): boolean {
    return this.#upgraded || [...this.#active].some((response) => response.headersSent);
  }

  begin(response: RawResponse): void {
    this.#active.add(response);
    if (this.#lingerMs !== undefined) this.#announceClose(response);
    response.once('close', () => {
      this.#active.delete(response);
      if (this.#lingerMs !== undefined && this.#active.size === 0) this.#endWhenIdle(this.#lingerMs);
    });
  }

  /** The socket speaks another protocol from now on, and counts as busy until it closes. */
  upgrade(): void {
    this.#upgraded = true;
  }

  /** Retires the connection before `endsInMs` have passed, so that it has ended by then. */
  endWithin(endsInMs: number, graceMs: number): void {
    this.#later(Math.max(0, endsInMs - graceMs), () =>
      this.retire({ graceMs: Math.min(graceMs, endsInMs), lingerMs: Math.min(graceMs, endsInMs) / 2 }),
    );
  }

  /** Takes no new work, lets running work finish, then closes. A second call only shortens. */
  retire({ graceMs, lingerMs }: RetireOptions): void {
    this.#later(graceMs, () => this.destroy());
    if (this.#lingerMs !== undefined) return;
    this.#lingerMs = lingerMs;
    if (this.#session === undefined) {
      for (const response of this.#active) this.#announceClose(response);
      if (!this.busy) this.#endWhenIdle(lingerMs);
    } else {
      this.#retireSession(this.#session, lingerMs);
    }
  }

  destroy(): void {
    this.#forced ||= this.busy;
    this.#session?.destroy();
    this.socket.destroy();
  }

  /**
   * RFC 9113 §6.8: announce first, and refuse only after the peer has read the news. Two pings, because the answer to the
   * first may overtake requests that were waiting to be sent; the answer to the second cannot.
   */
  #retireSession(session: ServerHttp2Session, lingerMs: number): void {
    if (session.destroyed) return;
    const close = () => {
      if (!session.destroyed && !session.closed) session.close();
    };
    const pingAgain = () => {
      if (!session.destroyed && !session.closed) session.ping(close);
    };
    session.goaway(0, anyStreamId);
    this.#later(lingerMs, close);
    session.ping(pingAgain);
  }

  #announceClose(response: RawResponse): void {
    if (this.#session === undefined && !response.headersSent) response.setHeader('Connection', 'close');
  }

  #endWhenIdle(lingerMs: number): void {
    if (this.#session !== undefined) return;
    this.#later(lingerMs, () => {
      if (!this.busy) this.socket.destroySoon();
    });
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    timer.unref();
    this.#timers.add(timer);
  }
}
