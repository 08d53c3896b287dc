// A mandate that is bound to a key passes with that key's proof, made for this very call, and with nothing else.
import { holderKey, makeProof, type ProofParts } from '#test/proofs';
import { describe, expect, test } from 'vitest';
import { fail } from '#mesh/failure';
import { mandateAnchors, refuseMandate, type MandateClaims } from '#mesh/mandate';
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
} from '../../outbound/memory/scripted-ports.ts';
import { createProofsMemory } from '../../outbound/memory/proofs-memory.ts';
import type { Allowed } from '../../ports/authorizer.ts';
import { createForwardRequest } from './forward-request.ts';

const token = 'a.b.c';
const key = holderKey();
const base = 'https://gateway.test';
const nowMs = 1_000_000_000_000;

const allowed: Allowed = {
  eventId: 'event-1',
  scopes: ['read'],
  credential: { headerName: 'x-key', headerValue: 'real-key', identityMandate: '' },
  credentialExpiresAtMs: undefined,
  upstreamUrl: 'https://upstream.test',
  allowedHosts: [],
  reusable: true,
  validUntilMs: nowMs + 5_000,
  policyDigest: 'd',
  policySetId: 's',
  policySetVersionId: 'v',
  inputDigest: 'i',
  resourceVersion: 1,
  delegationEpoch: 0,
};

function claimsOf(more: Partial<MandateClaims>): MandateClaims {
  return {
    iss: 'https://issuer.test',
    sub: 'app',
    aud: ['https://issuer.test'],
    exp: nowMs / 1000 + 900,
    iat: nowMs / 1000,
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

function createBench(more: Partial<MandateClaims> = { cnf: { jkt: key.jkt } }) {
  const clock = new ManualClock(nowMs);
  const [evidence, revocations, catalogue] = [new MemoryEvidence(), new MemoryRevocations(), new MemoryCatalogue()];
  const [replayStore, rateLimiter, upstreams] = [
    new MemoryReplayStore(),
    new MemoryRateLimiter(),
    new ScriptedUpstreams(),
  ];
  const authorizer = new ScriptedAuthorizer(() => ({ kind: 'allowed', verdict: allowed }));
  const proofs = createProofsMemory(clock);
  const named = { identifier: 'res', slug: 'res', name: 'Res', kind: 'http', scopes: ['read'] } as const;
  const where = { id: 'res-id', zoneId: 'zone', zoneSlug: 'zone-slug' } as const;
  catalogue.resources.push({ ...where, ...named, rateLimitPerMinute: 100, oddPathsAllowed: false, version: 1 });
  const flow = createForwardRequest({
    clock,
    issuer: 'https://issuer.test',
    publicUrls: [base],
    limits: {
      maxRequestBytes: 1000,
      upstreamTimeoutMs: 30_000,
      streamIdleTimeoutMs: 300_000,
      rateLimitPerMinute: 0,
      limiterMayFail: false,
    },
    hostRules: { allowlist: new Set(), denylist: [] },
    trace: traceFrom,
    recall: () => ({ token, digest: 'digest', kid: 'kid', claims: claimsOf(more) }),
    verify: async () => {
      throw fail('invalid_token');
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
    verdicts: new VerdictMemory<Allowed>({ maxVerdicts: 100, maxZones: 100 }),
    changesAreFresh: () => true,
    sampler: createRefusalSampler({ clock }),
    ended: () => undefined,
  });
  interface Shown {
    /** Null sends no credential. */
    readonly scheme?: string | null;
    readonly dpop?: string | undefined;
    readonly certificate?: string;
    readonly target?: string;
  }
  async function call({ scheme = 'DPoP', dpop, certificate, target = '/r/zone-slug/res/x?q=1' }: Shown = {}) {
    const sink = new MemorySink();
    const credential = scheme === null ? [] : ['Authorization', `${scheme} ${token}`];
    const headers = [...credential, ...(dpop === undefined ? [] : ['DPoP', dpop])];
    await flow.forward(
      new MemoryCall({ headers, target, ...(certificate === undefined ? {} : { certificate }) }),
      sink,
    );
    return sink;
  }
  const proof = (parts: Partial<ProofParts> = {}): string =>
    makeProof({
      key,
      method: 'GET',
      url: `${base}/r/zone-slug/res/x`,
      iat: Math.floor(clock.now() / 1000),
      accessToken: token,
      ...parts,
    });
  return { clock, evidence, replayStore, authorizer, upstreams, proofs, call, proof };
}

const reasonOf = (sink: MemorySink): string =>
  `${sink.failure?.reason ?? 'passed'} ${sink.failure?.privateDetail ?? ''}`.trim();
const headerOf = (sink: MemorySink, name: string): string | undefined => {
  const at = sink.headers.indexOf(name);
  return at < 0 ? undefined : sink.headers[at + 1];
};

describe('a mandate bound to a key', () => {
  test('passes with its proof, and the STS is told which key was proven', async () => {
    const bench = createBench();
    const sink = await bench.call({ dpop: bench.proof() });
    expect(sink.failure).toBeUndefined();
    expect(bench.authorizer.questions[0]?.proven).toEqual({ jkt: key.jkt });
    expect(bench.upstreams.sent).toHaveLength(1);
  });

  test('is refused as a bearer, with the scheme it wants', async () => {
    const bench = createBench();
    const sink = await bench.call({ scheme: 'Bearer', dpop: bench.proof() });
    expect(reasonOf(sink)).toBe('invalid_token bound mandate as bearer');
    expect(headerOf(sink, 'www-authenticate')).toMatch(/^DPoP error="invalid_token", algs="ES256 /);
  });

  test('is refused without a proof, or with one that is not right for this call', async () => {
    const bench = createBench();
    const other = holderKey();
    for (const [dpop, expected] of [
      [undefined, 'no proof'],
      ['junk', 'malformed'],
      [bench.proof({ method: 'POST' }), 'wrong_method'],
      [bench.proof({ url: `${base}/r/zone-slug/res/y` }), 'wrong_uri'],
      [bench.proof({ url: `${base}/r/zone-slug/res/x?q=1` }), 'wrong_uri'],
      [bench.proof({ url: 'https://evil.test/r/zone-slug/res/x' }), 'wrong_uri'],
      [bench.proof({ accessToken: undefined }), 'wrong_token'],
      [bench.proof({ accessToken: 'another.token.x' }), 'wrong_token'],
      [bench.proof({ key: other }), 'other key'],
      [bench.proof({ header: { jwk: other.jwk } }), 'bad_signature'],
    ] as const) {
      const sink = await bench.call({ dpop });
      expect(reasonOf(sink)).toBe(`dpop_proof_rejected ${expected}`);
      expect(headerOf(sink, 'www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof", algs="ES256 /);
      expect(headerOf(sink, 'dpop-nonce')).toMatch(/^[\w-]{30}$/);
    }
    expect(bench.authorizer.questions).toEqual([]);
    expect(bench.replayStore.spent.size).toBe(0);
    expect(bench.evidence.events.filter(({ decision }) => decision === 'deny')).toHaveLength(10);
  });

  test('needs a nonce only from a caller whose clock is wrong', async () => {
    const bench = createBench();
    const late = await bench.call({ dpop: bench.proof({ iat: 5 }) });
    expect(reasonOf(late)).toBe('dpop_nonce_required clock');
    const nonce = headerOf(late, 'dpop-nonce');
    expect(headerOf(late, 'www-authenticate')).toContain('error="use_dpop_nonce"');
    expect(reasonOf(await bench.call({ dpop: bench.proof({ iat: 5, nonce }) }))).toBe('passed');
    await bench.clock.advance(60_000);
    expect(reasonOf(await bench.call({ dpop: bench.proof({ iat: 5, nonce }) }))).toBe(
      'dpop_nonce_required nonce_not_good',
    );
  });

  test('is proven anew when its verdict is reused, by a proof that is good once', async () => {
    const bench = createBench();
    const dpop = bench.proof();
    expect(reasonOf(await bench.call({ dpop }))).toBe('passed');
    expect(reasonOf(await bench.call({ dpop }))).toBe('dpop_proof_rejected proof replayed');
    expect(reasonOf(await bench.call())).toBe('dpop_proof_rejected no proof');
    expect(reasonOf(await bench.call({ dpop: bench.proof() }))).toBe('passed');
    expect(bench.authorizer.questions).toHaveLength(1);
  });

  test('does not pass while nobody can say whether its proof was used', async () => {
    const bench = createBench();
    bench.replayStore.isAway = true;
    expect(reasonOf(await bench.call({ dpop: bench.proof() }))).toBe('replay_store_unavailable');
    expect(bench.upstreams.sent).toHaveLength(0);
  });

  test('needs a nonce when the marks of earlier proofs were lost', async () => {
    const bench = createBench();
    bench.replayStore.sinceMs = nowMs - 1_000;
    const sink = await bench.call({ dpop: bench.proof() });
    expect(reasonOf(sink)).toBe('dpop_nonce_required marks lost');
    const nonce = headerOf(sink, 'dpop-nonce');
    expect(reasonOf(await bench.call({ dpop: bench.proof({ nonce }) }))).toBe('passed');
  });

  test('and good for one call is not used up by whoever lacks the key', async () => {
    const bench = createBench({ use: 'per_call', aud: ['res'], cnf: { jkt: key.jkt } });
    expect(reasonOf(await bench.call({ dpop: bench.proof({ key: holderKey() }) }))).toContain('other key');
    const dpop = bench.proof();
    expect(reasonOf(await bench.call({ dpop }))).toBe('passed');
    expect(reasonOf(await bench.call({ dpop: bench.proof() }))).toBe('token_replayed');
  });

  test('shown with two proofs is refused', async () => {
    const bench = createBench();
    const sink = await bench.call({ dpop: `${bench.proof()}, ${bench.proof()}` });
    expect(reasonOf(sink)).toBe('dpop_proof_rejected malformed');
  });
});

describe('a bearer', () => {
  test('is refused under the scheme of proofs', async () => {
    const bench = createBench({});
    expect(reasonOf(await bench.call({ dpop: bench.proof() }))).toBe('invalid_token bearer with proof');
    expect(reasonOf(await bench.call({ scheme: 'bearer' }))).toBe('passed');
    expect(bench.authorizer.questions[0]?.proven).toEqual({});
  });
});

describe('a mandate bound to a certificate', () => {
  const certificate = 'c'.repeat(43);

  test('passes on a connection with that certificate alone', async () => {
    const bench = createBench({ cnf: { 'x5t#S256': certificate } });
    expect(reasonOf(await bench.call({ scheme: 'Bearer' }))).toBe('invalid_token other certificate');
    const other = await bench.call({ scheme: 'Bearer', certificate: 'd'.repeat(43) });
    expect(reasonOf(other)).toBe('invalid_token other certificate');
    expect(headerOf(other, 'www-authenticate')).toMatch(/^Bearer error="invalid_token"/);
    expect(reasonOf(await bench.call({ scheme: 'Bearer', certificate }))).toBe('passed');
    expect(bench.authorizer.questions[0]?.proven).toEqual({ x5tS256: certificate });
  });

  test('and to a key needs both', async () => {
    const bench = createBench({ cnf: { jkt: key.jkt, 'x5t#S256': certificate } });
    expect(reasonOf(await bench.call({ dpop: bench.proof() }))).toBe('invalid_token other certificate');
    expect(reasonOf(await bench.call({ scheme: 'Bearer', certificate }))).toContain('invalid_token');
    expect(reasonOf(await bench.call({ dpop: bench.proof(), certificate }))).toBe('passed');
  });
});

describe('a caller without credential', () => {
  test('is told of both schemes', async () => {
    const bench = createBench();
    const { headers } = await bench.call({ scheme: null });
    const told = headers.filter((_value, at) => headers[at - 1] === 'www-authenticate');
    expect(told.map((value) => value.split(' ', 1)[0])).toEqual(['Bearer', 'DPoP']);
  });
});
