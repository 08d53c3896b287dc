// One Authorize stream: mutual proof of the shared key, then questions answered in any order. It bounds what a Gateway may
// have under way, notices silence, and ends itself before it is old, finishing what was asked.
import { randomBytes } from 'node:crypto';
import type { AuthorizeRequest, AuthorizeResponse, Question } from '#gen/caracal/sts/v1/sts_pb';
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { helloMac, provenKey } from '../../domain/authorize-hello.ts';
import type { HelloTranscript } from '../../domain/authorize-hello.ts';
import type { CallQuestion, CallVerdict } from '../../flows/authorize-call/call-question.ts';
import { FrameQueue } from './frame-queue.ts';
import { callQuestion, frame, questionProblem, refusalFrame, verdictFrame } from './frames.ts';
import { createMandateMemory } from './mandate-memory.ts';
import type { ZoneWindows } from './zone-windows.ts';

export interface AuthorizeStreamDeps {
  readonly authorizeCall: (question: CallQuestion) => Promise<CallVerdict>;
  /** Refuses without deciding, with its event. */
  readonly refuseCall: (question: CallQuestion, failure: Failure) => Promise<CallVerdict>;
  /** Current first. */
  readonly keys: readonly Uint8Array[];
  readonly clock: Clock;
  readonly zoneWindows: ZoneWindows;
  /** Calls back when this process begins to drain; gives a function that stops listening. */
  readonly onDrain: (listener: () => void) => () => void;
}

export interface StreamPeer {
  readonly spiffeId: string;
  readonly exporter: Uint8Array;
  /** Aborted when the call is gone. */
  readonly signal: AbortSignal;
}

const proofBytes = 32;
const heartbeatMs = 5000;
const silenceMs = 15_000;
/** Five minutes, give or take a fifth, so that the streams of a fleet do not all turn over at once. */
const ageMs = 300_000;
const ageSpread = 0.2;
/** Above what the Gateway has under way on one stream. */
const windowQuestions = 2048;
/** sts.proto: a mandate is sent whole once and then by digest; at least twice what the Gateway counts on. */
const rememberedMandates = 1024;
/** What was asked before Closing may take a full unary deadline. */
const closingMs = 30_000;
/** A question that crossed the Closing on its way arrives within this. */
const crossingMs = 1000;
const lookMs = 500;

class AuthorizeStream {
  readonly #deps: AuthorizeStreamDeps;
  readonly #peer: StreamPeer;
  readonly #out = new FrameQueue();
  readonly #mandates = createMandateMemory(rememberedMandates);
  readonly #underWay = new Map<bigint, { cancelled: boolean }>();
  readonly #stop = new AbortController();
  readonly #endsAtMs: number;
  #heardAtMs: number;
  #beatAtMs: number;
  #closingAtMs: number | undefined;
  #lastId = 0n;

  constructor(deps: AuthorizeStreamDeps, peer: StreamPeer) {
    this.#deps = deps;
    this.#peer = peer;
    this.#heardAtMs = deps.clock.monotonic();
    this.#beatAtMs = this.#heardAtMs;
    const spread = ((randomBytes(2).readUInt16BE() / 0xffff) * 2 - 1) * ageSpread;
    this.#endsAtMs = this.#heardAtMs + ageMs * (1 + spread);
  }

  async *run(requests: AsyncIterable<AuthorizeRequest>): AsyncGenerator<AuthorizeResponse> {
    const frames = requests[Symbol.asyncIterator]();
    const stopListening = this.#deps.onDrain(() => this.#close());
    const watching = this.#watch();
    const gone = (): void => this.#end();
    this.#peer.signal.addEventListener('abort', gone, { once: true });
    try {
      yield* this.#greet(frames);
      void this.#read(frames);
      yield* this.#out;
    } finally {
      stopListening();
      this.#peer.signal.removeEventListener('abort', gone);
      this.#end();
      await watching;
    }
  }

  async *#greet(frames: AsyncIterator<AuthorizeRequest>): AsyncGenerator<AuthorizeResponse> {
    const stsRandom = randomBytes(proofBytes);
    yield frame({ case: 'hello', value: { random: new Uint8Array(stsRandom) } });
    const first = await frames.next();
    const hello = first.done ? undefined : first.value.frame;
    if (hello?.case !== 'hello' || hello.value.random.length !== proofBytes || hello.value.replicaId.length > 128) {
      throw fail('unauthenticated', { privateDetail: 'authorize stream without hello' });
    }
    const { random: gatewayRandom, replicaId, mac } = hello.value;
    const { spiffeId: gatewaySpiffeId, exporter } = this.#peer;
    const transcript: HelloTranscript = { stsRandom, gatewayRandom, gatewaySpiffeId, replicaId, exporter };
    const key = provenKey(this.#deps.keys, mac, transcript);
    if (!key) throw fail('unauthenticated', { privateDetail: 'authorize hello not proven' });
    this.#heardAtMs = this.#deps.clock.monotonic();
    yield frame({ case: 'proof', value: { mac: new Uint8Array(helloMac('sts', key, transcript)) } });
  }

  async #read(frames: AsyncIterator<AuthorizeRequest>): Promise<void> {
    try {
      for (let next = await frames.next(); !next.done; next = await frames.next()) this.#take(next.value);
    } catch {
      // A broken connection says nothing that its end does not.
    }
    this.#end();
  }

  #take({ frame: received }: AuthorizeRequest): void {
    this.#heardAtMs = this.#deps.clock.monotonic();
    switch (received.case) {
      case 'question':
        return void this.#answer(received.value);
      case 'cancel': {
        const asked = this.#underWay.get(received.value.id);
        if (asked) asked.cancelled = true;
        return undefined;
      }
      case 'heartbeat':
        return undefined;
      case 'hello':
      case undefined:
        return this.#end();
    }
  }

  /** The mandate as presented, remembered for its digest; undefined for a digest this stream has not seen. */
  #mandateOf({ presented }: Question): string | undefined {
    if (presented.case === 'mandate') {
      this.#mandates.keep(presented.value);
      return presented.value;
    }
    return presented.case === 'mandateDigest' ? this.#mandates.recall(presented.value) : undefined;
  }

  async #answer(question: Question): Promise<void> {
    const { id } = question;
    // Ids grow; one that does not would take another question's answer.
    if (id <= this.#lastId) return this.#end();
    this.#lastId = id;
    const mandate = this.#mandateOf(question);
    if (mandate === undefined) {
      return this.#out.push(refusalFrame(id, fail('invalid_request', { description: 'unknown mandate digest' })));
    }
    const asked = { cancelled: false };
    this.#underWay.set(id, asked);
    const verdict = await this.#decide(question, mandate);
    this.#underWay.delete(id);
    if (!asked.cancelled) this.#out.push(verdictFrame(id, verdict));
    this.#endWhenDone();
  }

  async #decide(question: Question, mandate: string): Promise<CallVerdict> {
    const call = callQuestion(question, mandate);
    const problem = questionProblem(question);
    if (problem !== undefined) {
      const fields = [{ path: problem, rule: 'as the contract says' }];
      return this.#deps.refuseCall(call, fail('invalid_request', { fields }));
    }
    const leave = this.#underWay.size <= windowQuestions ? this.#deps.zoneWindows.enter(call.zoneId) : undefined;
    if (!leave)
      return this.#deps.refuseCall(call, fail('rate_limited', { retryAfterMs: 1000, privateDetail: 'window' }));
    try {
      return await this.#deps.authorizeCall(call);
    } finally {
      leave();
    }
  }

  /** Heartbeats, silence and age. */
  async #watch(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      const now = clock.monotonic();
      if (now - this.#heardAtMs >= silenceMs) this.#end();
      else if (this.#closingAtMs !== undefined && now - this.#closingAtMs >= closingMs) this.#end();
      else if (now >= this.#endsAtMs) this.#close();
      this.#endWhenDone();
      if (now - this.#beatAtMs >= heartbeatMs) {
        this.#beatAtMs = now;
        this.#out.push(frame({ case: 'heartbeat', value: {} }));
      }
      await clock.sleep(lookMs, this.#stop.signal).catch(() => undefined);
    }
  }

  #close(): void {
    if (this.#closingAtMs !== undefined) return;
    this.#closingAtMs = this.#deps.clock.monotonic();
    this.#out.push(frame({ case: 'closing', value: {} }));
  }

  /** After Closing the Gateway ends the stream; one that does not is ended here once nothing is under way. */
  #endWhenDone(): void {
    if (this.#closingAtMs === undefined || this.#underWay.size > 0) return;
    if (this.#deps.clock.monotonic() - this.#closingAtMs >= crossingMs) this.#end();
  }

  #end(): void {
    this.#stop.abort();
    this.#out.end();
  }
}

/** Serves one stream until it ends. */
export function serveAuthorize(
  deps: AuthorizeStreamDeps,
  peer: StreamPeer,
  requests: AsyncIterable<AuthorizeRequest>,
): AsyncGenerator<AuthorizeResponse> {
  return new AuthorizeStream(deps, peer).run(requests);
}
