import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import type { MandateClaims } from '#mesh/mandate';
import { createMemoryPorts } from '../outbound/memory/ports-memory.ts';
import { createBarrierMemory, createTokenRevokerMemory } from '../outbound/memory/token-ends-memory.ts';
import { createWatchPlaces } from '../domain/watch-places.ts';
import { introspectForZone, introspectToken } from './introspect-token.ts';
import { revokeToken } from './revoke-token.ts';

const resource = 'resource://calendar';

function setUp() {
  const memory = createMemoryPorts();
  const { ports, zone } = memory;
  const owner = memory.addApplication();
  const other = memory.addApplication();
  const deps = {
    ...ports,
    tokenRevoker: createTokenRevokerMemory(ports.revocations),
    barrier: createBarrierMemory(),
    barrierPlaces: createWatchPlaces({ inAll: 2, perZone: 1 }),
  };
  const ask = (token: string, by = owner) => ({
    asked: { requestId: 'r', traceId: undefined },
    source: '192.0.2.1',
    zoneId: zone.id,
    applicationId: by.application.id,
    credential: { kind: 'secret', secret: by.secret } as const,
    token,
  });
  const sign = async (change: Partial<MandateClaims> = {}): Promise<string> => {
    const key = await ports.zoneKeys.signingKey(zone.id);
    if (!key) throw new Error('no key');
    const iat = Math.floor(ports.clock.now() / 1000);
    const ids = { jti: ports.newId(), sid: ports.newId(), root_sid: ports.newId() };
    const parties = { iss: ports.issuer, sub: owner.application.id, client_id: owner.application.id, zone_id: zone.id };
    const kind = { use: 'per_call', sub_type: 'application', aud: [resource], target: [resource] } as const;
    const claims: MandateClaims = { ...parties, ...kind, ...ids, iat, exp: iat + 60, rev: 0, ...change };
    return ports.mandateSigner.sign(claims, key);
  };
  const serves = (identifiers: readonly string[]): void => {
    memory.world.applications.set(other.application.id, { ...other.application, serves: identifiers });
  };
  return { ...memory, deps, owner, other, ask, sign, serves };
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no failure';
  } catch (error) {
    return error instanceof Failure ? error.reason : String(error);
  }
}

describe('introspection', () => {
  it('shows the mandate that went to an upstream to whoever serves it, as what it is', async () => {
    const { deps, ask, sign, serves, other } = setUp();
    const token = await sign({ via: 'gateway' });
    expect(await introspectToken(deps, ask(token, other))).toEqual({ active: false });
    serves([resource]);
    expect(await introspectToken(deps, ask(token, other))).toMatchObject({ active: true, via: 'gateway' });
  });

  it('shows who acts, who may act and what it is bound to', async () => {
    const { deps, ask, sign } = setUp();
    const told = {
      act: { sub: 'actor', act: { sub: 'before' } },
      may_act: { client_id: 'next' },
      cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' },
    };
    expect(await introspectToken(deps, ask(await sign(told)))).toMatchObject({ ...told, token_type: 'DPoP' });
    const byCertificate = { cnf: { 'x5t#S256': '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } };
    expect(await introspectToken(deps, ask(await sign(byCertificate)))).toMatchObject({
      ...byCertificate,
      token_type: 'Bearer',
    });
  });

  it('never counts the issuer as something that is served', async () => {
    const { deps, ports, ask, sign, serves, other } = setUp();
    serves([resource, ports.issuer]);
    const ambient = await sign({ use: 'ambient', aud: [ports.issuer] });
    expect(await introspectToken(deps, ask(ambient, other))).toEqual({ active: false });
  });

  it('says inactive for everything by which a mandate can be hit', async () => {
    const { ports, zone, deps, ask, sign } = setUp();
    for (const kind of ['session', 'jti', 'application', 'subject', 'zone'] as const) {
      const token = await sign({ rev: ports.revocations.applied() });
      const active = await introspectToken(deps, ask(token));
      expect(active.active).toBe(true);
      const claims = active as unknown as MandateClaims;
      const { sid, jti, client_id: client, sub } = claims;
      const id = { session: sid, jti, application: client, subject: sub, zone: zone.id }[kind];
      ports.revocations.revoke(zone.id, { kind, id });
      expect(await introspectToken(deps, ask(token)), kind).toEqual({ active: false });
      expect(await introspectForZone(deps, { zoneId: zone.id, token }), kind).toEqual({ active: false });
    }
  });

  it('sees an anchor that is applied while the signature is verified', async () => {
    const { ports, zone, deps, ask, sign } = setUp();
    const token = await sign();
    const racing = {
      ...deps,
      mandateReader: {
        ...deps.mandateReader,
        async verify(text: string) {
          const mandate = await deps.mandateReader.verify(text);
          ports.revocations.revoke(zone.id, { kind: 'jti', id: mandate.claims.jti });
          return mandate;
        },
      },
    };
    expect(await introspectToken(racing, ask(token))).toEqual({ active: false });
  });

  it('says nothing rather than something stale', async () => {
    const { ports, deps, ask, sign } = setUp();
    const token = await sign();
    ports.revocations.usable = false;
    expect(await reasonOf(introspectToken(deps, ask(token)))).toBe('revocation_stale');
    expect(await reasonOf(introspectToken(deps, ask('x')))).toBe('revocation_stale');
  });

  it('says nothing when a refusal could not be recorded', async () => {
    const { ports, deps, ask, sign, other } = setUp();
    const token = await sign();
    ports.evidence.usable = false;
    expect(await reasonOf(introspectToken(deps, ask(token, other)))).toBe('audit_unavailable');
    expect((await introspectToken(deps, ask(token))).active).toBe(true);
  });

  it('does not know clients that are archived or have expired', async () => {
    const { world, ports, deps, ask, sign, owner } = setUp();
    const token = await sign();
    world.applications.set(owner.application.id, { ...owner.application, expiresAtMs: ports.clock.now() });
    expect(await reasonOf(introspectToken(deps, ask(token)))).toBe('invalid_client');
    world.applications.delete(owner.application.id);
    expect(await reasonOf(introspectToken(deps, ask(token)))).toBe('invalid_client');
  });
});

describe('revocation', () => {
  it('takes the id of a per-call mandate and the session of an ambient one', async () => {
    const { deps, ports, ask, sign } = setUp();
    const perCall = await sign({ jti: '01900000-0000-7000-8000-0000000000aa' });
    const ambient = await sign({ use: 'ambient', aud: [ports.issuer], sid: 'the-sid' });
    const request = (token: string) => ({ ...ask(token), waitMs: undefined });
    expect(await revokeToken(deps, request(perCall))).toEqual({ number: 1, barrier: undefined });
    expect(await revokeToken(deps, request(ambient))).toEqual({ number: 2, barrier: undefined });
    expect(deps.tokenRevoker.revoked.map(({ anchor }) => anchor)).toEqual([
      { kind: 'jti', id: '01900000-0000-7000-8000-0000000000aa' },
      { kind: 'session', id: 'the-sid' },
    ]);
    expect(await revokeToken(deps, { ...ask(perCall), waitMs: 5 })).toMatchObject({
      number: undefined,
      barrier: { applied: true },
    });
  });

  it('is not for mandates that went to an upstream, nor for another client, served or not', async () => {
    const { deps, ask, sign, serves, other } = setUp();
    serves([resource]);
    const request = (token: string, by?: typeof other) => ({ ...ask(token, by), waitMs: undefined });
    expect(await reasonOf(revokeToken(deps, request(await sign({ via: 'gateway' }))))).toBe('unsupported_token_type');
    expect(await reasonOf(revokeToken(deps, request(await sign(), other)))).toBe('invalid_request');
    expect(deps.tokenRevoker.revoked).toEqual([]);
  });

  it('goes on while this replica is not fresh: ending something needs no certainty about the rest', async () => {
    const { deps, ports, ask, sign } = setUp();
    ports.revocations.usable = false;
    expect(await revokeToken(deps, { ...ask(await sign()), waitMs: undefined })).toMatchObject({ number: 1 });
  });

  it('leaves evidence of every refusal', async () => {
    const { deps, ports, ask, sign, other } = setUp();
    await reasonOf(revokeToken(deps, { ...ask(await sign(), other), waitMs: undefined }));
    await reasonOf(revokeToken(deps, { ...ask('x', { ...other, secret: 'wrong' }), waitMs: undefined }));
    expect(ports.evidence.events.map(({ eventType, decision }) => [eventType, decision])).toEqual([
      ['token.revoke', 'deny'],
      ['token.revoke', 'deny'],
    ]);
  });
});

describe('waiting at the barrier', () => {
  it('is for so many at once, whatever their tokens are; who does not wait is served as ever', async () => {
    const { deps, ask, sign } = setUp();
    const reached = Promise.withResolvers<undefined>();
    const barrier = { ...deps.barrier, waitForAll: async () => (await reached.promise) ?? deps.barrier.waitForAll(1) };
    const slow = { ...deps, barrier };
    const waiting = revokeToken(slow, { ...ask('junk'), waitMs: 25_000 });
    await expect.poll(() => deps.barrierPlaces.taken).toBe(1);
    const token = await sign();
    expect(await reasonOf(revokeToken(slow, { ...ask(token), waitMs: 25_000 }))).toBe('rate_limited');
    expect(deps.tokenRevoker.revoked).toEqual([]);
    expect(await reasonOf(revokeToken(slow, { ...ask(token), waitMs: undefined }))).toBe('no failure');
    reached.resolve(undefined);
    await waiting;
    expect(await reasonOf(revokeToken(slow, { ...ask(await sign()), waitMs: 25_000 }))).toBe('no failure');
    expect(deps.barrierPlaces.taken).toBe(0);
  });
});
