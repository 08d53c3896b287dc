// Keeps streams to every address of the STS and puts each question on the one with the fewest under way. A stream that
// is due to end is replaced before it drains; an address that does not answer is tried again with growing patience.
import { lookup } from 'node:dns/promises';
import { fail } from '#mesh/failure';
import type { PeerTransport } from '#mesh/rpc';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { GatewayMetrics } from '../../metrics.ts';
import type { Authorizer, PendingAnswer, Question } from '../../ports/authorizer.ts';
import { AuthorizeStream } from './authorize-stream.ts';

export interface AuthorizerPeerOptions {
  readonly stsUrl: URL;
  /** A transport of its own for each stream, to one address. */
  readonly connect: (url: string) => PeerTransport;
  readonly keys: readonly [Uint8Array, ...Uint8Array[]];
  readonly spiffeId: string;
  readonly replicaId: string;
  readonly newId: () => string;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: GatewayMetrics;
  /** The system's resolver unless given. */
  readonly resolve?: (hostname: string) => Promise<readonly string[]>;
  /** Between 0 and 1; spreads the ends of streams. */
  readonly chance?: () => number;
}

export interface AuthorizerPeer extends Authorizer, AsyncDisposable {
  /** Resolves when a first stream is open or an address was tried in vain; goes on in the background. */
  start(): Promise<void>;
  readonly openStreams: number;
}

// surfaces.md, Authorize.
const resolveEveryMs = 5000;
const streamsPerAddress = 2;
const streamsToSingleAddress = 4;
const streamLifeMs = 300_000;
const streamLifeSpread = 0.2;
const lookEveryMs = 100;
const startPatienceMs = 2000;
const firstRetryMs = 100;
const longestRetryMs = 3000;

interface Slot {
  stream: AuthorizeStream | undefined;
  transport: PeerTransport | undefined;
  opening: boolean;
  replaceAtMs: number;
  retryAtMs: number;
  retryMs: number;
}

interface Target {
  readonly url: string;
  readonly slots: Slot[];
}

class StreamPool implements AuthorizerPeer {
  readonly #options: AuthorizerPeerOptions;
  readonly #targets = new Map<string, Target>();
  /** Streams that take no questions yet, and those that take no more and still owe answers. */
  readonly #opening = new Set<AuthorizeStream>();
  readonly #draining = new Set<AuthorizeStream>();
  readonly #stop = new AbortController();
  #resolvedAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(options: AuthorizerPeerOptions) {
    this.#options = options;
  }

  get openStreams(): number {
    return this.#open().length;
  }

  isConnected(): boolean {
    return this.#best() !== undefined;
  }

  ask(question: Question): PendingAnswer {
    const stream = this.#best();
    if (stream !== undefined) return stream.ask(question);
    const failure = fail('sts_unavailable', { privateDetail: 'no stream to an STS is open' });
    return { answer: Promise.reject(failure), cancel: () => undefined };
  }

  async start(): Promise<void> {
    await this.#resolve();
    const opening = this.#openMissing();
    this.#running = this.#run();
    // An STS that is away keeps nobody from starting: readiness tells of it.
    await Promise.race([Promise.all(opening), this.#options.clock.sleep(startPatienceMs, this.#stop.signal)]);
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(lookEveryMs, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      if (clock.monotonic() - this.#resolvedAtMs >= resolveEveryMs) await this.#resolve();
      const serving = this.#slots().map((slot) => slot.stream);
      for (const stream of [...serving, ...this.#opening, ...this.#draining]) stream?.look();
      void this.#openMissing();
    }
  }

  async #resolve(): Promise<void> {
    const { stsUrl, resolve = systemResolve, clock, logger } = this.#options;
    this.#resolvedAtMs = clock.monotonic();
    let addresses: readonly string[];
    try {
      addresses = await resolve(hostOf(stsUrl));
    } catch (error) {
      // The addresses that are known may still be right.
      logger.warn({ error }, 'the name of the STS could not be resolved');
      return;
    }
    for (const address of addresses) {
      if (!this.#targets.has(address)) this.#targets.set(address, { url: urlOf(stsUrl, address), slots: [] });
    }
    for (const [address, target] of this.#targets) {
      if (addresses.includes(address)) continue;
      this.#targets.delete(address);
      for (const slot of target.slots) this.#retire(slot);
    }
  }

  #openMissing(): Promise<void>[] {
    const now = this.#options.clock.monotonic();
    const opening: Promise<void>[] = [];
    const alive = [...this.#targets.values()].filter((target) => target.slots.some((slot) => slot.stream?.isOpen));
    for (const target of this.#targets.values()) {
      const isSingle = this.#targets.size === 1 || (alive.length === 1 && alive[0] === target);
      const wanted = isSingle ? streamsToSingleAddress : streamsPerAddress;
      while (target.slots.length < wanted) target.slots.push(emptySlot());
      for (const slot of target.slots) {
        const isDue = slot.stream === undefined || slot.replaceAtMs <= now;
        if (isDue && !slot.opening && slot.retryAtMs <= now) opening.push(this.#fill(slot, target.url));
      }
    }
    return opening;
  }

  /** Opens a stream into the slot; what was there keeps serving until then, and drains after. */
  async #fill(slot: Slot, url: string): Promise<void> {
    slot.opening = true;
    const { clock, chance = Math.random, logger, metrics, connect, ...rest } = this.#options;
    let transport: PeerTransport | undefined;
    try {
      const opened = connect(url);
      transport = opened;
      const stream: AuthorizeStream = new AuthorizeStream({
        ...rest,
        clock,
        transport: opened,
        onEnd: () => this.#ended(slot, stream, opened),
        onClosing: () => (slot.replaceAtMs = Number.NEGATIVE_INFINITY),
      });
      this.#opening.add(stream);
      await stream.open().finally(() => this.#opening.delete(stream));
      this.#retire(slot);
      slot.stream = stream;
      slot.transport = opened;
      slot.retryMs = firstRetryMs;
      const spread = 1 - streamLifeSpread + 2 * streamLifeSpread * chance();
      slot.replaceAtMs = clock.monotonic() + streamLifeMs * spread;
      metrics.stsStreams.inc({ event: 'opened' });
    } catch (error) {
      metrics.stsStreams.inc({ event: 'failed' });
      logger.warn({ error }, 'no stream to an STS could be opened');
      await transport?.[Symbol.asyncDispose]();
      slot.retryAtMs = clock.monotonic() + slot.retryMs;
      slot.retryMs = Math.min(slot.retryMs * 2, longestRetryMs);
    } finally {
      slot.opening = false;
    }
  }

  #retire(slot: Slot): void {
    const { stream } = slot;
    slot.stream = undefined;
    slot.transport = undefined;
    if (stream === undefined) return;
    this.#draining.add(stream);
    stream.retire();
  }

  #ended(slot: Slot, stream: AuthorizeStream, transport: PeerTransport): void {
    this.#draining.delete(stream);
    if (slot.stream === stream) {
      slot.stream = undefined;
      slot.transport = undefined;
    }
    void transport[Symbol.asyncDispose]();
    this.#options.metrics.stsStreams.inc({ event: 'ended' });
  }

  #slots(): Slot[] {
    return [...this.#targets.values()].flatMap((target) => target.slots);
  }

  #open(): AuthorizeStream[] {
    return this.#slots().flatMap(({ stream }) => (stream?.isOpen === true ? [stream] : []));
  }

  #best(): AuthorizeStream | undefined {
    let best: AuthorizeStream | undefined;
    for (const { slots } of this.#targets.values()) {
      for (const { stream } of slots) {
        if (stream?.isOpen === true && (best === undefined || stream.pending < best.pending)) best = stream;
      }
    }
    return best;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    for (const slot of this.#slots()) slot.stream?.end(undefined);
    for (const stream of [...this.#opening, ...this.#draining]) stream.end(undefined);
    this.#targets.clear();
  }
}

function emptySlot(): Slot {
  return {
    stream: undefined,
    transport: undefined,
    opening: false,
    replaceAtMs: Number.NEGATIVE_INFINITY,
    retryAtMs: Number.NEGATIVE_INFINITY,
    retryMs: firstRetryMs,
  };
}

async function systemResolve(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}

function hostOf(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

function urlOf(url: URL, address: string): string {
  const dialled = new URL(url);
  dialled.hostname = address.includes(':') ? `[${address}]` : address;
  return dialled.origin;
}

export function createAuthorizerPeer(options: AuthorizerPeerOptions): AuthorizerPeer {
  return new StreamPool(options);
}
