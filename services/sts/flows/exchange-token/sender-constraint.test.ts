// Proofs at the token endpoint: what they bind, and what is refused without them.
import { tokenRequest } from '#test/exchange-world';
import { holderKey, makeProof, type HolderKey, type ProofParts } from '#test/proofs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProvenKey } from '#mesh/authority';
import { Failure } from '#mesh/failure';
import { parseMandate } from '#mesh/mandate';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import { authorizeCall } from '../authorize-call/authorize-call.ts';
import { exchangeToken } from './exchange-token.ts';
import type { TokenGrant, TokenRequest } from './token-request.ts';

const url = 'https://sts.test/oauth/2/token';

function setUp(senderConstraint: 'off' | 'allowed' | 'required') {
  const memory = createMemoryPorts();
  const { application, secret } = memory.addApplication();
  memory.world.applications.set(application.id, { ...application, senderConstraint });
  memory.addResource('a', ['read', 'write']);
  const { ports } = memory;
  const proofOf = (key: HolderKey, parts: Partial<ProofParts> = {}): string =>
    makeProof({ key, url, iat: Math.floor(ports.clock.now() / 1000), nonce: ports.proofChecker.nonce(), ...parts });
  const exchange = async (
    shown: { readonly dpop?: string | undefined; readonly certificate?: string | undefined } = {},
    fields: Partial<TokenRequest> = {},
  ): Promise<TokenGrant> =>
    exchangeToken(
      ports,
      tokenRequest(
        memory,
        { id: application.id, secret },
        {
          proof: { dpop: shown.dpop, method: 'POST', path: '/oauth/2/token', certificateThumbprint: shown.certificate },
          ...fields,
        },
      ),
    );
  const setPolicy = (policy: string): void => {
    memory.world.applications.set(application.id, { ...application, senderConstraint: policy });
  };
  return { ...memory, exchange, proofOf, setPolicy };
}

const cnfOf = (grant: TokenGrant): unknown => parseMandate(grant.accessToken)?.claims.cnf;
const subjectOf = (grant: TokenGrant) => ({ subject: { token: grant.accessToken, type: 'access_token' } as const });

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'granted';
  } catch (error) {
    if (error instanceof Failure) return `${error.reason} ${error.privateDetail}`;
    throw error;
  }
}

describe('an application that may be bound', () => {
  it('is bound to the key it proves, and to none when it proves none', async () => {
    const world = setUp('allowed');
    const key = holderKey();
    const bound = await world.exchange({ dpop: world.proofOf(key) });
    expect(cnfOf(bound)).toEqual({ jkt: key.jkt });
    expect(bound.confirmation).toEqual({ jkt: key.jkt });
    expect(cnfOf(await world.exchange())).toBeUndefined();
  });

  it('is bound to its certificate when it shows no proof', async () => {
    const world = setUp('allowed');
    expect(cnfOf(await world.exchange({ certificate: 'c'.repeat(43) }))).toEqual({ 'x5t#S256': 'c'.repeat(43) });
  });

  it('needs no nonce while its clock is right, and gets one asked for when it is wrong', async () => {
    const world = setUp('allowed');
    const key = holderKey();
    expect(cnfOf(await world.exchange({ dpop: world.proofOf(key, { nonce: undefined }) }))).toEqual({ jkt: key.jkt });
    const late = world.proofOf(key, { nonce: undefined, iat: 1 });
    expect(await reasonOf(world.exchange({ dpop: late }))).toBe('use_dpop_nonce clock');
    expect(cnfOf(await world.exchange({ dpop: world.proofOf(key, { iat: 1 }) }))).toEqual({ jkt: key.jkt });
  });
});

describe('an application that must be bound', () => {
  it('gets nothing without a proof, and nothing for a proof without a nonce', async () => {
    const world = setUp('required');
    const key = holderKey();
    expect(await reasonOf(world.exchange())).toBe('invalid_dpop_proof proof_required');
    const bare = world.proofOf(key, { nonce: undefined });
    expect(await reasonOf(world.exchange({ dpop: bare }))).toBe('use_dpop_nonce nonce_missing');
    expect(cnfOf(await world.exchange({ dpop: world.proofOf(key) }))).toEqual({ jkt: key.jkt });
    const granted = world.ports.evidence.events.at(-1);
    expect(granted?.metadata).toMatchObject({ cnf: { jkt: key.jkt } });
  });

  it('cannot turn an older bearer of its own into another one', async () => {
    const world = setUp('allowed');
    const bearer = await world.exchange();
    world.setPolicy('required');
    expect(await reasonOf(world.exchange({}, subjectOf(bearer)))).toBe('invalid_dpop_proof proof_required');
    const key = holderKey();
    expect(cnfOf(await world.exchange({ dpop: world.proofOf(key) }, subjectOf(bearer)))).toEqual({ jkt: key.jkt });
  });
});

describe('an application that is not bound', () => {
  it('has its proof checked all the same, and is bound to nothing by it', async () => {
    const world = setUp('off');
    const key = holderKey();
    expect(cnfOf(await world.exchange({ dpop: world.proofOf(key) }))).toBeUndefined();
    expect(await reasonOf(world.exchange({ dpop: 'junk' }))).toBe('invalid_dpop_proof malformed');
  });
});

describe('a bound subject', () => {
  it('is exchanged by its key holder alone, and what it gives is bound alike, whatever the policy says by then', async () => {
    const world = setUp('allowed');
    const [key, thief] = [holderKey(), holderKey()];
    const subject = await world.exchange({ dpop: world.proofOf(key) });
    world.setPolicy('off');
    const again = await world.exchange({ dpop: world.proofOf(key) }, subjectOf(subject));
    expect(cnfOf(again)).toEqual({ jkt: key.jkt });
    expect(await reasonOf(world.exchange({}, subjectOf(subject)))).toBe('invalid_token proof_required');
    const stolen = world.exchange({ dpop: world.proofOf(thief) }, subjectOf(subject));
    expect(await reasonOf(stolen)).toBe('invalid_token proof_required');
    const byCertificate = world.exchange({ certificate: 'c'.repeat(43) }, subjectOf(subject));
    expect(await reasonOf(byCertificate)).toBe('invalid_token proof_required');
  });

  it('of a certificate needs that certificate', async () => {
    const world = setUp('allowed');
    const subject = await world.exchange({ certificate: 'c'.repeat(43) });
    const other = world.exchange({ certificate: 'd'.repeat(43) }, subjectOf(subject));
    expect(await reasonOf(other)).toBe('invalid_token proof_required');
    const again = await world.exchange({ certificate: 'c'.repeat(43) }, subjectOf(subject));
    expect(cnfOf(again)).toEqual({ 'x5t#S256': 'c'.repeat(43) });
  });
});

describe('a proof', () => {
  it('is good once', async () => {
    const world = setUp('allowed');
    const dpop = world.proofOf(holderKey());
    await world.exchange({ dpop });
    expect(await reasonOf(world.exchange({ dpop }))).toBe('invalid_dpop_proof proof_replayed');
    const refused = world.ports.evidence.events.at(-1);
    expect(refused?.metadata).toMatchObject({ reason: 'invalid_dpop_proof', cause: 'proof_replayed' });
  });

  it('with a used jti is refused whatever else it says, and another key may use the same', async () => {
    const world = setUp('allowed');
    const [key, other] = [holderKey(), holderKey()];
    const claims = { jti: 'used-before' };
    await world.exchange({ dpop: world.proofOf(key, { claims }) });
    const again = world.exchange({ dpop: world.proofOf(key, { claims, nonce: undefined }) });
    expect(await reasonOf(again)).toBe('invalid_dpop_proof proof_replayed');
    expect(await reasonOf(world.exchange({ dpop: world.proofOf(other, { claims }) }))).toBe('granted');
  });

  it('for another address, method or time is refused before it is spent', async () => {
    const world = setUp('allowed');
    const key = holderKey();
    for (const parts of [{ url: 'https://evil.test/oauth/2/token' }, { method: 'GET' }, { claims: { exp: 1 } }]) {
      expect(await reasonOf(world.exchange({ dpop: world.proofOf(key, parts) }))).toContain('invalid_dpop_proof');
    }
  });

  it('of a caller that is not the client is never looked at', async () => {
    const world = setUp('required');
    const dpop = world.proofOf(holderKey());
    const stranger = world.exchange({ dpop }, { credential: { kind: 'secret', secret: 'junk' } });
    expect(await reasonOf(stranger)).toContain('invalid_client');
    expect(await reasonOf(world.exchange({ dpop }))).toBe('granted');
  });
});

interface Step {
  readonly policy: string;
  readonly key: number | undefined;
  readonly certificate: string | undefined;
}

const keys = [holderKey(), holderKey()];

/** One exchange of a chain; undefined when it is refused. Says what must hold of whatever is granted. */
async function take(world: ReturnType<typeof setUp>, step: Step, before: TokenGrant | undefined) {
  const { policy, key, certificate } = step;
  world.setPolicy(policy);
  const holder = key === undefined ? undefined : keys[key];
  const dpop = holder && world.proofOf(holder);
  const [outcome] = await Promise.allSettled([world.exchange({ dpop, certificate }, before ? subjectOf(before) : {})]);
  if (outcome.status === 'rejected') {
    expect(outcome.reason).toBeInstanceOf(Failure);
    return undefined;
  }
  const { confirmation } = outcome.value;
  if (before?.confirmation !== undefined) expect(confirmation).toEqual(before.confirmation);
  if (policy === 'required') expect(confirmation).toBeDefined();
  expect([undefined, holder?.jkt]).toContain(confirmation?.jkt);
  expect([undefined, certificate]).toContain(confirmation?.['x5t#S256']);
  return outcome.value;
}

describe('a bound chain', () => {
  it('ends in no bearer, whatever is proven, asked and registered along it', async () => {
    const step = fc.record({
      policy: fc.constantFrom('off', 'allowed', 'required'),
      key: fc.constantFrom(undefined, 0, 1),
      certificate: fc.constantFrom(undefined, 'c'.repeat(43), 'd'.repeat(43)),
    });
    await fc.assert(
      fc.asyncProperty(step, fc.array(step, { minLength: 1, maxLength: 4 }), async (first, then) => {
        const world = setUp('off');
        // Only an ambient mandate is exchanged again.
        const ambient = await take(world, first, undefined);
        for (const one of ambient ? then : []) await take(world, one, ambient);
      }),
      { numRuns: 60 },
    );
  });

  it('is left by nothing but what goes to the upstream for a minute', async () => {
    const world = setUp('allowed');
    const provider = { id: 'provider-1', zoneId: world.zone.id, identifier: 'p', kind: 'caracal_mandate' } as const;
    world.world.providers.set(provider.id, { ...provider, config: {}, secrets: [], version: 1 });
    world.addResource('b', ['read'], { providerId: provider.id });
    const key = holderKey();
    const bound = await world.exchange({ dpop: world.proofOf(key) }, { resources: ['b'] });
    const ask = async (proven: ProvenKey) =>
      authorizeCall(world.ports, {
        asked: { requestId: 'r', traceId: undefined },
        mandate: bound.accessToken,
        zoneId: world.zone.id,
        resource: 'b',
        method: 'GET',
        path: '/x',
        proven,
      });
    for (const proven of [{}, { jkt: holderKey().jkt }, { x5tS256: key.jkt }]) {
      expect(await ask(proven)).toMatchObject({ kind: 'refused', failure: { privateDetail: 'proof_required' } });
    }
    const verdict = await ask({ jkt: key.jkt });
    const injected = verdict.kind === 'allowed' ? verdict.injection.headerValue.replace('Bearer ', '') : '';
    const claims = parseMandate(injected)?.claims;
    expect(claims).toMatchObject({ via: 'gateway', use: 'per_call', aud: ['b'] });
    expect(claims?.cnf).toBeUndefined();
    expect((claims?.exp ?? 0) - (claims?.iat ?? 0)).toBeLessThanOrEqual(60);
  });
});
