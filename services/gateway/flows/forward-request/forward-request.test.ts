// The order of the stages and what holds whatever fails: nothing is sent without a decision that is durable, and nothing
// stays open without one that still holds.
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { mandateAnchors, refuseMandate, type MandateClaims, type VerifiedMandate } from '#mesh/mandate';
import { fail, type FailureReason } from '#mesh/failure';
import { traceFrom } from '#mesh/telemetry';
import { ManualClock } from '#mesh/time';
import { createRefusalSampler } from '#mesh/trail';
import { VerdictMemory } from '../../domain/verdict-memory.ts';
import {
  MemoryCall,
  MemoryCatalogue,
  MemoryEvidence,
  MemoryRateLimiter,
  MemoryReplayStore,
  MemoryRevocations,
  MemorySink,
  ScriptedAuthorizer,
  ScriptedUpstreams,
  type MemoryCallOptions,
} from '../../outbound/memory/scripted-ports.ts';
import { createProofsMemory } from '../../outbound/memory/proofs-memory.ts';
import type { Allowed, Answer } from '../../ports/authorizer.ts';
import type { EndedCall } from './exchange.ts';
import { createForwardRequest, type ForwardRequest } from './forward-request.ts';

const issuer = 'https://issuer.test';
const token = 'a.b.c';

function claims(more: Partial<MandateClaims> = {}): MandateClaims {
  return {
    iss: issuer,
    sub: 'app',
    aud: [issuer],
    exp: 10_000,
    iat: 1,
    jti: 'jti-1',
    zone_id: 'zone',
    client_id: 'app',
    use: 'ambient',
    sub_type: 'application',
    target: ['res'],
    sid: 'sid-1',
    root_sid: 'sid-1',
    rev: 5,
    ...more,
  };
}

function allow(more: Partial<Allowed> = {}): Answer {
  return {
    kind: 'allowed',
    verdict: {
      eventId: 'event-1',
      scopes: ['read'],
      credential: { headerName: 'x-key', headerValue: 'real-key-1', identityMandate: '' },
      credentialExpiresAtMs: undefined,
      upstreamUrl: 'https://upstream.test/base',
      allowedHosts: [],
      reusable: false,
      validUntilMs: 1_000_000,
      policyDigest: 'd',
      policySetId: 's',
      policySetVersionId: 'v',
      inputDigest: 'i',
      resourceVersion: 1,
      delegationEpoch: 0,
      ...more,
    },
  };
}

function createBench() {
  const clock = new ManualClock(100_000);
  const evidence = new MemoryEvidence();
  const revocations = new MemoryRevocations();
  const catalogue = new MemoryCatalogue();
  const replayStore = new MemoryReplayStore();
  const proofs = createProofsMemory(clock);
  const rateLimiter = new MemoryRateLimiter();
  const authorizer = new ScriptedAuthorizer(() => allow());
  const upstreams = new ScriptedUpstreams();
  const ended: EndedCall[] = [];
  const state = { mandate: claims(), fresh: true, verifyFails: undefined as FailureReason | undefined };
  const verdicts = new VerdictMemory<Allowed>({ maxVerdicts: 100, maxZones: 100 });
  catalogue.resources.push({
    id: 'res-id',
    zoneId: 'zone',
    zoneSlug: 'zone-slug',
    identifier: 'res',
    slug: 'res',
    name: 'Res',
    kind: 'http',
    scopes: ['read'],
    rateLimitPerMinute: 10,
    oddPathsAllowed: false,
    version: 1,
  });
  const limits = {
    maxRequestBytes: 1000,
    upstreamTimeoutMs: 30_000,
    streamIdleTimeoutMs: 300_000,
    rateLimitPerMinute: 0,
    limiterMayFail: false,
  };
  const flow: ForwardRequest = createForwardRequest({
    clock,
    issuer,
    publicUrls: ['https://gateway.test'],
    limits,
    hostRules: { allowlist: new Set(), denylist: [] },
    trace: traceFrom,
    recall: () => undefined,
    verify: async (presented): Promise<VerifiedMandate> => {
      if (state.verifyFails !== undefined) throw fail(state.verifyFails);
      return { token: presented, digest: 'digest', kid: 'kid', claims: state.mandate };
    },
    claimedZone: () => 'zone',
    refuseMandate,
    anchorsOf: mandateAnchors,
    revocations,
    catalogue,
    proofs,
    replayStore,
    rateLimiter,
    authorizer,
    evidence,
    upstreams,
    verdicts,
    changesAreFresh: () => state.fresh,
    sampler: createRefusalSampler({ clock }),
    ended: (call) => void ended.push(call),
  });
  async function call(options: MemoryCallOptions = {}): Promise<MemorySink> {
    const sink = new MemorySink();
    const headers = options.headers ?? ['Authorization', `Bearer ${token}`, 'X-Caracal-Resource', 'res'];
    await flow.forward(new MemoryCall({ ...options, headers }), sink);
    return sink;
  }
  return {
    clock,
    evidence,
    revocations,
    catalogue,
    replayStore,
    rateLimiter,
    authorizer,
    upstreams,
    ended,
    state,
    verdicts,
    flow,
    call,
  };
}

let bench: ReturnType<typeof createBench>;
beforeEach(() => {
  bench = createBench();
});
const types = (): (string | undefined)[] => bench.evidence.events.map(({ eventType }) => eventType);

describe('the stages', () => {
  test('an allowed call is sent once and passed back', async () => {
    const sink = await bench.call({ target: '/x?y=1' });
    expect(bench.upstreams.sent).toMatchObject([{ target: '/base/x?y=1', method: 'GET' }]);
    bench.upstreams.events?.head(200, ['content-type', 'text/plain']);
    bench.upstreams.events?.data(Buffer.from('hello'));
    bench.upstreams.events?.end([]);
    expect(sink).toMatchObject({ status: 200, body: 'hello', ended: 'whole' });
    expect(types()).toEqual(['gateway.outcome']);
    expect(bench.ended).toMatchObject([{ status: 200, outcome: 'passed' }]);
    expect(bench.flow.open.size).toBe(0);
  });

  test('a process that may not serve says so before it looks at anything', async () => {
    bench.revocations.isStale = true;
    const sink = await bench.call({ method: 'TRACE', target: '//', headers: [] });
    expect(sink.failure?.reason).toBe('revocation_stale');
  });

  const anchor = { number: 6, zoneId: 'zone', kind: 'session', id: 'sid-1' } as const;
  const singleUse = (): void => {
    bench.state.mandate = { ...bench.state.mandate, use: 'per_call', aud: ['res'] };
  };
  const answers = (answer: Answer | FailureReason): void => {
    bench.authorizer.answer = () => answer;
  };
  const faults: Readonly<Record<string, () => void>> = {
    stale: () => (bench.revocations.isStale = true),
    unverified: () => (bench.state.verifyFails = 'invalid_token'),
    class: () => (bench.state.mandate = claims({ via: 'gateway' })),
    unknown: () => (bench.catalogue.resources.length = 0),
    revoked: () => bench.revocations.anchors.push(anchor),
    limited: () => (bench.rateLimiter.left = 0),
    limiter: () => (bench.rateLimiter.isAway = true),
    replayed: () => {
      singleUse();
      bench.replayStore.spent.add('zone per_call jti-1');
    },
    replayStore: () => {
      singleUse();
      bench.replayStore.isAway = true;
    },
    sts: () => answers('sts_unavailable'),
    denied: () => answers(denied()),
    guard: () => answers(allow({ upstreamUrl: 'ftp://x' })),
    credential: () => answers(allow({ credential: { headerName: 'host', headerValue: 'x', identityMandate: '' } })),
    lateAnchor: () => (bench.upstreams.beforeStart = () => void bench.revocations.anchors.push(anchor)),
    lateStale: () => (bench.upstreams.beforeStart = () => void (bench.revocations.isStale = true)),
  };

  test('whatever fails, nothing is sent, and what happened is recorded once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.subarray(Object.keys(faults)), async (names) => {
        bench = createBench();
        for (const name of names) faults[name]?.();
        const sink = await bench.call({ target: '/a' });
        expect(bench.upstreams.sent).toHaveLength(names.length === 0 ? 1 : 0);
        if (names.length === 0) return;
        expect(sink.ended).toBe('refused');
        const records = types().filter((type) => type === 'gateway.decision' || type === 'gateway.outcome');
        // The STS has recorded what it refused.
        expect(records).toHaveLength(sink.failure?.reason === 'policy_denied' ? 0 : 1);
      }),
      { numRuns: 500 },
    );
  });

  test('a refusal that cannot be recorded is told as that', async () => {
    bench.evidence.isAway = true;
    bench.state.verifyFails = 'invalid_token';
    expect((await bench.call()).failure?.reason).toBe('audit_unavailable');
  });

  test('a published limiter that is away refuses; without a limit it is not asked', async () => {
    bench.rateLimiter.isAway = true;
    expect((await bench.call()).failure?.reason).toBe('limiter_unavailable');
    const [resource] = bench.catalogue.resources;
    bench.catalogue.resources[0] = { ...resource!, rateLimitPerMinute: undefined };
    await bench.call();
    expect(bench.upstreams.sent).toHaveLength(1);
  });

  test('a single-use mandate is not spent without an STS in reach', async () => {
    bench.state.mandate = claims({ use: 'per_call', aud: ['res'] });
    bench.authorizer.connected = false;
    expect((await bench.call()).failure?.reason).toBe('sts_unavailable');
    expect(bench.replayStore.spent.size).toBe(0);
  });

  test('a resource nobody knew is looked for once before it is missed', async () => {
    const [resource] = bench.catalogue.resources.splice(0);
    bench.catalogue.unknown.push(resource!);
    await bench.call();
    expect(bench.upstreams.sent).toHaveLength(1);
  });

  test('a caller that leaves while the STS thinks is not answered, and nothing is sent', async () => {
    const thinking = Promise.withResolvers<Answer>();
    bench.authorizer.answer = () => thinking.promise;
    const sink = new MemorySink();
    const done = bench.flow.forward(
      new MemoryCall({ headers: ['Authorization', `Bearer ${token}`, 'X-Caracal-Resource', 'res'] }),
      sink,
    );
    await Promise.resolve().then(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    sink.leave();
    thinking.resolve(allow());
    await done;
    expect(bench.authorizer.cancelled).toBe(1);
    expect([bench.upstreams.sent.length, sink.ended]).toEqual([0, 'open']);
  });
});

function denied(): Answer {
  const refusal = {
    reason: 'policy_denied',
    description: '',
    diagnostics: undefined,
    eventId: 'e',
    requiredScopes: [],
    retryAfterMs: undefined,
  } as const;
  return { kind: 'refused', refusal };
}

describe('reuse', () => {
  const reusable = (): void => {
    bench.authorizer.answer = () => allow({ reusable: true });
  };

  test('sends nothing before its own evidence is durable', async () => {
    reusable();
    await bench.call();
    const durable = Promise.withResolvers<void>();
    bench.evidence.durable = durable.promise;
    const second = bench.call();
    await new Promise((resolve) => setImmediate(resolve));
    expect(bench.upstreams.sent).toHaveLength(1);
    durable.resolve();
    await second;
    expect(bench.upstreams.sent).toHaveLength(2);
    expect(bench.authorizer.questions).toHaveLength(1);
  });

  test('is refused when it cannot be recorded', async () => {
    reusable();
    await bench.call();
    bench.evidence.isAway = true;
    expect((await bench.call()).failure?.reason).toBe('audit_unavailable');
    expect(bench.upstreams.sent).toHaveLength(1);
  });

  test('lasts at most five seconds, whatever the STS says', async () => {
    reusable();
    await bench.call();
    await bench.clock.advance(4999);
    await bench.call();
    expect(bench.authorizer.questions).toHaveLength(1);
    await bench.clock.advance(1);
    await bench.call();
    expect(bench.authorizer.questions).toHaveLength(2);
  });

  test('does not happen while changes may be missed, nor for single use', async () => {
    reusable();
    await bench.call();
    bench.state.fresh = false;
    await bench.call();
    expect(bench.authorizer.questions).toHaveLength(2);
    bench.state.fresh = true;
    bench.state.mandate = claims({ use: 'per_call', aud: ['res'] });
    await bench.call();
    bench.state.mandate = claims({ use: 'per_call', aud: ['res'], jti: 'jti-2' });
    await bench.call();
    expect(bench.authorizer.questions).toHaveLength(4);
  });

  test('a refusal is never given again', async () => {
    bench.authorizer.answer = denied;
    await bench.call();
    await bench.call();
    expect(bench.authorizer.questions).toHaveLength(2);
  });
});

describe('an open answer', () => {
  async function open(): Promise<MemorySink> {
    const sink = await bench.call();
    bench.upstreams.events?.head(200, []);
    bench.upstreams.events?.data(Buffer.from('first'));
    return sink;
  }
  async function pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 1000) {
      await bench.clock.advance(1000);
      bench.upstreams.events?.data(Buffer.from('.'));
      bench.flow.open.look();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('is decided again within a minute and goes on', async () => {
    const sink = await open();
    await pass(49_000);
    expect(bench.authorizer.questions).toHaveLength(1);
    await pass(3000);
    expect(bench.authorizer.questions.map(({ again }) => again)).toEqual([undefined, true]);
    await pass(100_000);
    expect(bench.authorizer.questions).toHaveLength(4);
    expect(sink.ended).toBe('open');
  });

  test('ends when nobody can decide it again within a minute', async () => {
    const sink = await open();
    bench.authorizer.answer = () => 'sts_unavailable';
    await pass(58_000);
    expect(sink.ended).toBe('open');
    await pass(3000);
    expect(sink.ended).toBe('cut');
    expect(bench.evidence.events.at(-2)).toMatchObject({
      eventType: 'stream.cut',
      metadata: { reason: 'not_decided_anew' },
    });
  });

  test('a change heard of while it is being decided again is not undone by that answer', async () => {
    const sink = await open();
    const thinking = Promise.withResolvers<Answer>();
    bench.authorizer.answer = () => thinking.promise;
    bench.flow.open.changed({ zoneId: 'zone' });
    bench.flow.open.look();
    await bench.clock.advance(10);
    bench.flow.open.changed({ zoneId: 'zone' });
    thinking.resolve(allow());
    await new Promise((resolve) => setImmediate(resolve));
    bench.authorizer.answer = denied;
    bench.flow.open.look();
    await new Promise((resolve) => setImmediate(resolve));
    expect(sink.ended).toBe('cut');
  });

  test('a change heard of between question and answer has it decided again at once', async () => {
    const thinking = Promise.withResolvers<Answer>();
    bench.authorizer.answer = () => thinking.promise;
    const opening = open();
    await new Promise((resolve) => setImmediate(resolve));
    bench.verdicts.policyChanged('zone', 'v');
    bench.flow.open.changed({ zoneId: 'zone' });
    bench.authorizer.answer = denied;
    thinking.resolve(allow());
    const sink = await opening;
    bench.flow.open.look();
    await new Promise((resolve) => setImmediate(resolve));
    expect(sink.ended).toBe('cut');
  });

  test.each([
    ['policy', () => bench.verdicts.policyChanged('zone', 'v2')],
    ['resource', () => bench.catalogue.resources.push({ ...bench.catalogue.resources.pop()!, version: 2 })],
  ])('an answer by a %s of before counts for nothing, however often it is given', async (_what, change) => {
    const sink = await open();
    change();
    bench.flow.open.changed({ zoneId: 'zone' });
    await pass(3000);
    expect(bench.authorizer.questions.length).toBeGreaterThan(2);
    expect(sink.ended).toBe('open');
    bench.authorizer.answer = () => allow({ policySetVersionId: 'v2', resourceVersion: 2 });
    await pass(1000);
    bench.authorizer.answer = () => allow();
    await pass(20_000);
    expect(sink.ended).toBe('open');
    bench.flow.open.changed({ zoneId: 'zone' });
    await pass(6000);
    expect(sink.ended).toBe('cut');
  });

  test('one zone’s open answers leave room to decide another’s', async () => {
    bench.authorizer.answer = () => allow();
    for (let count = 0; count < 60; count += 1) await open();
    bench.state.mandate = claims({ zone_id: 'other' });
    const [resource] = bench.catalogue.resources;
    if (resource) bench.catalogue.resources.push({ ...resource, zoneId: 'other' });
    await open();
    bench.authorizer.questions.length = 0;
    bench.authorizer.answer = () => new Promise<Answer>(() => undefined);
    bench.flow.open.changed('everything');
    bench.flow.open.look();
    expect(bench.authorizer.questions.map(({ zoneId }) => zoneId)).toContain('other');
  });

  test('a change elsewhere asks nothing', async () => {
    await open();
    bench.flow.open.changed({ zoneId: 'other' });
    bench.flow.open.changed({ zoneId: 'zone', resourceId: 'another' });
    bench.flow.open.look();
    expect(bench.authorizer.questions).toHaveLength(1);
  });

  test('is cut by its anchor and by no other, young or old', async () => {
    for (const age of [0, 1000]) {
      bench = createBench();
      const sink = await open();
      await pass(age);
      const base = { number: 6, zoneId: 'zone', kind: 'session', id: 'sid-1' } as const;
      bench.flow.open.revoke({ ...base, number: 5 });
      bench.flow.open.revoke({ ...base, zoneId: 'other' });
      bench.flow.open.revoke({ ...base, id: 'sid-2' });
      bench.flow.open.revoke({ ...base, kind: 'agent_session' });
      expect(sink.ended).toBe('open');
      bench.flow.open.revoke(base);
      expect(sink.ended).toBe('cut');
      expect([bench.upstreams.aborted, bench.flow.open.size]).toEqual([1, 0]);
    }
  });

  test('is cut when the key that signed its mandate was retired, whatever its `rev`', async () => {
    const sink = await open();
    const anchor = { number: 1, zoneId: 'zone', kind: 'zone_key', id: 'kid' } as const;
    bench.flow.open.revoke({ ...anchor, id: 'key-2' });
    expect(sink.ended).toBe('open');
    bench.flow.open.revoke(anchor);
    expect(sink.ended).toBe('cut');
  });

  test('a caller that reads slowly pauses the upstream, and is given up in the end', async () => {
    const sink = await open();
    sink.readsSlowly = true;
    expect(bench.upstreams.events?.data(Buffer.from('x'))).toBe(false);
    bench.authorizer.answer = () => allow();
    for (let at = 0; at < 302; at += 1) {
      await bench.clock.advance(1000);
      bench.flow.open.look();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sink.ended).toBe('cut');
    expect(bench.ended).toMatchObject([{ outcome: 'caller_idle' }]);
  });

  test('that the caller’s protocol cannot carry is broken off, and nothing is thrown at the upstream’s client', async () => {
    const sink = await bench.call();
    sink.start = () => {
      throw new RangeError('invalid status code');
    };
    bench.upstreams.events?.head(999, []);
    expect([sink.ended, bench.upstreams.aborted, bench.flow.open.size]).toEqual(['cut', 1, 0]);
    expect(bench.ended).toMatchObject([{ outcome: 'upstream_unreachable' }]);
  });

  test('a caller that leaves while its allow is being recorded is no failure', async () => {
    bench.authorizer.answer = () => allow({ reusable: true });
    await bench.call();
    const durable = Promise.withResolvers<void>();
    bench.evidence.durable = durable.promise;
    const sink = new MemorySink();
    const headers = ['Authorization', `Bearer ${token}`, 'X-Caracal-Resource', 'res'];
    const gone = bench.flow.forward(new MemoryCall({ headers }), sink);
    await new Promise((resolve) => setImmediate(resolve));
    sink.leave();
    durable.resolve();
    await gone;
    expect(bench.upstreams.sent).toHaveLength(1);
    expect(bench.ended.at(-1)).toMatchObject({ outcome: 'caller_gone', status: 499 });
    expect(bench.evidence.events.at(-1)).toMatchObject({
      eventType: 'gateway.outcome',
      metadata: { reason: 'caller_gone', bytes_out: 0 },
    });
  });

  test('a caller that leaves ends the upstream’s request', async () => {
    const sink = await open();
    sink.leave();
    expect(bench.upstreams.aborted).toBe(1);
    expect(bench.ended).toMatchObject([{ outcome: 'caller_gone', status: 200 }]);
  });
});
