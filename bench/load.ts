// A closed-loop load generator: so many connections, each sending its next request when the last answer is complete. It
// writes and reads bytes itself, because a client library would cost more than the proxy it measures.
import { connect, type TLSSocket } from 'node:tls';

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  readonly ca: string | Buffer;
  readonly connections: number;
  readonly seconds: number;
  /** Requests before counting begins. */
  readonly warmUpSeconds: number;
  /** The head of the next request, without `Host` and without the empty line at its end. */
  readonly nextHead: () => string;
  /** Of every request; the head then says its length. */
  readonly body?: string | undefined;
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Counting {
  readonly latencies: number[];
  readonly statuses: Map<string, number>;
  from: number;
  until: number;
}

/**
 * Runs the load and counts what was answered between warm-up and end; every connection goes on until it has counted one
 * answer. Rejects when a connection fails.
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const startedMs = performance.now();
  const from = startedMs + options.warmUpSeconds * 1000;
  const counting: Counting = { latencies: [], statuses: new Map(), from, until: from + options.seconds * 1000 };
  await Promise.all(Array.from({ length: options.connections }, () => runConnection(options, counting)));
  const sorted = Float64Array.from(counting.latencies).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    requests: sorted.length,
    perSecond: sorted.length / options.seconds,
    statuses: Object.fromEntries(counting.statuses),
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}

async function runConnection(options: LoadOptions, counting: Counting): Promise<void> {
  const { host, port, ca, body = '' } = options;
  const socket = connect({ host, port, ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  socket.setNoDelay(true);
  const answers = new AnswerReader(socket);
  let counted = 0;
  try {
    for (;;) {
      const sentMs = performance.now();
      if (sentMs >= counting.until && counted > 0) return;
      socket.write(`${options.nextHead()}Host: localhost\r\n\r\n${body}`);
      const status = await answers.next();
      const doneMs = performance.now();
      if (sentMs < counting.from || (doneMs > counting.until && counted > 0)) continue;
      counted += 1;
      counting.latencies.push(doneMs - sentMs);
      counting.statuses.set(status, (counting.statuses.get(status) ?? 0) + 1);
    }
  } finally {
    socket.destroy();
  }
}

const headEnd = Buffer.from('\r\n\r\n');
const chunkedEnd = Buffer.from('0\r\n\r\n');

/** Reads one answer after another off a connection: by Content-Length, or up to the last chunk. */
class AnswerReader {
  #buffered: Buffer = Buffer.alloc(0);
  #resolve: ((status: string) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #ended: Error | undefined;

  constructor(socket: TLSSocket) {
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk]);
      this.#deliver();
    });
    const end = (error?: Error): void => {
      this.#ended = error ?? new Error('the connection was closed under load');
      this.#reject?.(this.#ended);
    };
    socket.on('error', end);
    socket.on('close', () => end());
  }

  async next(): Promise<string> {
    if (this.#ended !== undefined) throw this.#ended;
    return await new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#deliver();
    });
  }

  #deliver(): void {
    const resolve = this.#resolve;
    if (resolve === undefined) return;
    const bodyAt = this.#buffered.indexOf(headEnd);
    if (bodyAt < 0) return;
    const head = this.#buffered.toString('latin1', 0, bodyAt);
    const end = this.#endOf(head, bodyAt + headEnd.length);
    if (end === undefined) return;
    this.#buffered = this.#buffered.subarray(end);
    this.#resolve = undefined;
    resolve(head.slice(9, 12));
  }

  #endOf(head: string, bodyAt: number): number | undefined {
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length !== undefined) {
      const end = bodyAt + Number(length);
      return this.#buffered.length >= end ? end : undefined;
    }
    if (!/\r\ntransfer-encoding: chunked/i.test(head)) return bodyAt;
    const last = this.#buffered.indexOf(chunkedEnd, Math.max(0, bodyAt - 1));
    return last < 0 ? undefined : last + chunkedEnd.length;
  }
}
