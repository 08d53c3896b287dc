// One stream of questions to one STS: hello both ways, then many questions at once, each with its own deadline. When it
// breaks, everything that was asked on it is unanswered, and nothing is asked twice.
import { randomBytes as random } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { LRUCache } from 'lru-cache';
import { asFailure, fail } from '#mesh/failure';
import { outgoing, type PeerTransport } from '#mesh/rpc';
import type { Clock } from '#mesh/time';
import { StsService, type AuthorizeRequest, type AuthorizeResponse, type Verdict } from '#gen/caracal/sts/v1/sts_pb';
import { helloMac, provesSts, randomBytes, type HelloFacts } from '../../domain/authorize-hello.ts';
import type { Answer, PendingAnswer, Question } from '../../ports/authorizer.ts';
import { answerOf, cancelFrame, heartbeatFrame, helloFrame, questionFrame, wantsWholeMandate } from './frames.ts';
import { RequestQueue } from './request-queue.ts';

export interface StreamOptions {
  readonly transport: PeerTransport;
  readonly keys: readonly [Uint8Array, ...Uint8Array[]];
  readonly spiffeId: string;
  /** The enforcement point's id. */
  readonly replicaId: string;
  readonly newId: () => string;
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly onEnd: (error: unknown) => void;
  /** The STS takes no more questions here. */
  readonly onClosing: () => void;
}

interface Asked {
  readonly question: Question;
  readonly dueAtMs: number;
  readonly byDigest: boolean;
  readonly settle: (answer: Answer) => void;
  readonly abandon: (error: unknown) => void;
}

// sts.proto: a heartbeat each 5 s, the end after 15 s of silence.
const heartbeatMs = 5000;
const silenceMs = 15_000;
// Connection, handshake and hello are a few round trips; an address that needs longer is as good as away.
const openingMs = 5000;
// The STS remembers at least twice as many per stream, in the same order of use.
const rememberedMandates = 512;
// Questions under way on one stream; at 1 ms an answer this is far above what a process can ask.
const windowQuestions = 1024;

export class AuthorizeStream {
  readonly #options: StreamOptions;
  readonly #outgoing = new RequestQueue<AuthorizeRequest>();
  readonly #asked = new Map<bigint, Asked>();
  readonly #sentWhole = new LRUCache<string, true>({ max: rememberedMandates });
  readonly #stop = new AbortController();
  #lastId = 0n;
  #state: 'opening' | 'open' | 'closing' | 'ended' = 'opening';
  #heardAtMs: number;
  #beatAtMs: number;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#heardAtMs = options.clock.monotonic();
    this.#beatAtMs = this.#heardAtMs;
  }

  get isOpen(): boolean {
    return this.#state === 'open' && this.#asked.size < windowQuestions;
  }

  get pending(): number {
    return this.#asked.size;
  }

  /** Resolves when the hello has been proven both ways; rejects when it could not be. Answers are read from then on. */
  async open(): Promise<void> {
    const { transport, newId } = this.#options;
    const requestId = newId();
    const client = createClient(StsService, transport);
    const call = outgoing({ requestId, signal: this.#stop.signal });
    const answers = client.authorize(this.#outgoing, call)[Symbol.asyncIterator]();
    try {
      await this.#greet(answers, requestId);
    } catch (error) {
      this.end(error);
      throw error;
    }
    this.#state = 'open';
    void this.#read(answers);
  }

  async #greet(answers: AsyncIterator<AuthorizeResponse>, requestId: string): Promise<void> {
    const { transport, keys, spiffeId, replicaId } = this.#options;
    const hello = await next(answers);
    if (hello.frame.case !== 'hello' || hello.frame.value.random.length !== randomBytes) throw broken('hello');
    const exporter = transport.tlsExporter(requestId);
    if (exporter === undefined) throw broken('exporter');
    const gatewayRandom = random(randomBytes);
    const facts: HelloFacts = { stsRandom: hello.frame.value.random, gatewayRandom, spiffeId, replicaId, exporter };
    this.#outgoing.push(helloFrame({ random: gatewayRandom, replicaId, mac: helloMac('gateway', keys[0], facts) }));
    const proof = await next(answers);
    if (proof.frame.case !== 'proof' || !provesSts(proof.frame.value.mac, keys, facts)) throw broken('proof');
    this.#heardAtMs = this.#options.clock.monotonic();
  }

  ask(question: Question): PendingAnswer {
    let id = 0n;
    const answer = new Promise<Answer>((settle, abandon) => {
      const dueAtMs = this.#options.clock.monotonic() + this.#options.deadlineMs;
      id = this.#send({ question, dueAtMs, byDigest: this.#sentWhole.has(question.mandate.digest), settle, abandon });
    });
    return { answer, cancel: () => this.#cancel(id) };
  }

  #send(asked: Asked): bigint {
    const { question, byDigest } = asked;
    this.#lastId += 1n;
    const id = this.#lastId;
    this.#asked.set(id, asked);
    this.#sentWhole.set(question.mandate.digest, true);
    const deadlineMs = Math.max(1, Math.round(asked.dueAtMs - this.#options.clock.monotonic()));
    this.#outgoing.push(questionFrame({ id, deadlineMs, question, byDigest }));
    return id;
  }

  #cancel(id: bigint): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    this.#outgoing.push(cancelFrame(id));
    asked.abandon(fail('sts_unavailable', { privateDetail: 'cancelled' }));
  }

  async #read(answers: AsyncIterator<AuthorizeResponse>): Promise<void> {
    try {
      for (;;) this.#take(await next(answers));
    } catch (error) {
      this.end(error);
    }
  }

  #take({ frame }: AuthorizeResponse): void {
    this.#heardAtMs = this.#options.clock.monotonic();
    switch (frame.case) {
      case 'verdict':
        return this.#settle(frame.value);
      case 'closing':
        this.retire();
        return this.#options.onClosing();
      case 'heartbeat':
      case 'hello':
      case 'proof':
      case undefined:
        return undefined;
    }
  }

  #settle(verdict: Verdict): void {
    const asked = this.#asked.get(verdict.id);
    if (asked === undefined) return;
    this.#asked.delete(verdict.id);
    if (asked.byDigest && wantsWholeMandate(verdict)) {
      this.#send({ ...asked, byDigest: false });
      return;
    }
    try {
      asked.settle(answerOf(verdict));
    } catch (error) {
      asked.abandon(error);
    }
    this.#endWhenAnswered();
  }

  /** Called several times a second: deadlines, heartbeats, silence. */
  look(): void {
    if (this.#state === 'ended') return;
    const now = this.#options.clock.monotonic();
    for (const [id, asked] of this.#asked) {
      // Every question has the same time, so the first that is not due ends the search.
      if (asked.dueAtMs > now) break;
      this.#cancel(id);
    }
    const patienceMs = this.#state === 'opening' ? openingMs : silenceMs;
    if (now - this.#heardAtMs >= patienceMs) return this.end(broken('silence'));
    if (this.#state === 'opening') return;
    if (now - this.#beatAtMs >= heartbeatMs) {
      this.#beatAtMs = now;
      this.#outgoing.push(heartbeatFrame());
    }
    this.#endWhenAnswered();
  }

  /** Takes no more questions and ends when the last one is answered. */
  retire(): void {
    if (this.#state !== 'ended') this.#state = 'closing';
    this.#endWhenAnswered();
  }

  #endWhenAnswered(): void {
    if (this.#state === 'closing' && this.#asked.size === 0) this.end(undefined);
  }

  end(error: unknown): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#outgoing.end();
    this.#stop.abort();
    const unanswered = [...this.#asked.values()];
    this.#asked.clear();
    for (const { abandon } of unanswered) abandon(fail('sts_unavailable', { cause: error }));
    this.#options.onEnd(error);
  }
}

async function next(answers: AsyncIterator<AuthorizeResponse>): Promise<AuthorizeResponse> {
  const result = await answers.next();
  if (result.done === true) throw broken('end');
  return result.value;
}

function broken(what: string): Error {
  return asFailure(fail('sts_unavailable', { privateDetail: `authorize stream: ${what}` }));
}
