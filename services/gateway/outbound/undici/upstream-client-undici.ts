// Sends requests to upstreams over one kept-alive pool for each zone and origin: a connection that one zone has filled or
// confused serves no other. Nothing is retried, no redirect is followed, no time limit of the library's own applies: the
// flow judges silence in both directions.
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Pool, type Dispatcher } from 'undici';
import { createGuardedConnect, DestinationRefused, type GuardOptions } from '#mesh/dial';
import { Failure } from '#mesh/failure';
import type { Upstream } from '../../domain/upstream-url.ts';
import type {
  UpstreamCall,
  UpstreamClient,
  UpstreamEvents,
  UpstreamFault,
  UpstreamRequest,
} from '../../ports/upstream-client.ts';

// Pools at a time; the least recently used is closed when it has finished.
const maxPools = 1000;
// An open stream holds a connection of HTTP/1.1, so this bounds streams to one upstream.
const connectionsPerPool = 4096;
// A connection is used no longer than this, so that a change of name or guard reaches busy upstreams too.
const connectionLifeMs = 300_000;
// Shorter than the 5 s after which common servers close, so that a request is not written into a closing connection.
const keepAliveMs = 4000;
// What an upstream may send as a head.
const maxHeadBytes = 65_536;

/** Thrown inside the client's start hook to take a request back without harm to its connection. */
class TakenBack extends Error {}

class Sent implements Dispatcher.DispatchHandler, UpstreamCall {
  readonly #events: UpstreamEvents;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted = false;

  constructor(events: UpstreamEvents) {
    this.#events = events;
  }

  resume(): void {
    this.#controller?.resume();
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#controller?.abort(new TakenBack('aborted'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#aborted || !this.#events.mayStart()) {
      this.#aborted = true;
      throw new TakenBack('not started');
    }
    this.#controller = controller;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Interim answers are between the upstream and us (RFC 9110 §15.2).
    if (this.#aborted || status < 200) return;
    this.#events.head(status, rawList(controller.rawHeaders ?? headers));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#aborted) return;
    if (!this.#events.data(chunk)) controller.pause();
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.#aborted) return;
    this.#events.end(rawList(controller.rawTrailers ?? trailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) return;
    this.#events.fault(faultOf(error, this.#controller !== undefined));
  }
}

function faultOf(error: unknown, started: boolean): UpstreamFault {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    if (cause instanceof DestinationRefused) return { kind: 'not_allowed', rule: cause.rule };
    if (cause instanceof Failure) return { kind: 'body', failure: cause };
  }
  return { kind: started ? 'broken' : 'unreachable' };
}

// HTTP/1.1 gives a list of buffers, HTTP/2 an object.
function rawList(headers: Buffer[] | string[] | IncomingHttpHeaders): string[] {
  if (Array.isArray(headers)) {
    return headers.map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
  }
  const list: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) list.push(name, one);
  }
  return list;
}

export interface UpstreamClientUndici extends UpstreamClient, AsyncDisposable {}

export function createUpstreamClient(guard: GuardOptions): UpstreamClientUndici {
  const pools = new LRUCache<string, Pool>({
    max: maxPools,
    dispose: (pool) => void pool.close().catch(() => undefined),
  });

  function poolOf({ zoneId, upstream, http2 }: UpstreamRequest): Pool {
    const key = `${zoneId} ${http2 ? 'h2 ' : ''}${upstream.origin}`;
    let pool = pools.get(key);
    if (pool === undefined) {
      pool = createPool(upstream, http2, guard);
      pools.set(key, pool);
    }
    return pool;
  }

  return {
    send(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
      const sent = new Sent(events);
      const { target, method, headers, body, http2 } = request;
      const options: Dispatcher.DispatchOptions = {
        path: target,
        method,
        // gRPC asks for trailers by this field (gRPC over HTTP/2, "Requests"); it says what we can take ourselves.
        headers: http2 ? [...headers, 'te', 'trailers'] : [...headers],
        body: body ?? null,
        idempotent: false,
        blocking: false,
      };
      try {
        poolOf(request).dispatch(options, sent);
      } catch (error) {
        // The library checks method and headers once more and throws for what it will not write.
        events.fault(faultOf(error, false));
      }
      return sent;
    },
    async [Symbol.asyncDispose]() {
      const open = [...pools.values()];
      await Promise.all(open.map(async (pool) => await pool.destroy().catch(() => undefined)));
      pools.clear();
    },
  };
}

function createPool(upstream: Upstream, http2: boolean, guard: GuardOptions): Pool {
  return new Pool(upstream.origin, {
    connect: createGuardedConnect(upstream, http2, guard),
    connections: connectionsPerPool,
    clientTtl: connectionLifeMs,
    allowH2: http2,
    pipelining: http2 ? 100 : 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: 60_000,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: maxHeadBytes,
    strictContentLength: true,
  });
}
