import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { claimsOf, exchangeWorld, refusalOf, subjectOf } from '../../../../test/support/exchange-world.ts';
import type { ExchangeWorld } from '../../../../test/support/exchange-world.ts';
import type { Grant, SubjectIssuer } from '../../domain/subject-issuer.ts';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { authorizeCall } from '../authorize-call/authorize-call.ts';
import { mintSession } from '../mint-session.ts';
import type { CallVerdict } from '../authorize-call/call-question.ts';
import type { TokenGrant, TokenRequest } from './token-request.ts';

const issuerId = '01900000-0000-7000-8000-00000000bbbb';
const alice = `user:${issuerId}:alice`;

function withIssuer(world: ExchangeWorld, more: Partial<SubjectIssuer> = {}): SubjectIssuer {
  const issuer: SubjectIssuer = {
    id: issuerId,
    zoneId: world.zone.id,
    issuer: 'https://login.test',
    jwksUrl: 'https://login.test/keys',
    audience: 'caracal',
    algorithms: ['ES256'],
    claims: { groups: 'groups' },
    mayAct: 'none',
    version: 1,
    ...more,
  };
  world.ports.subjects.issuersOf.set(issuer.id, issuer);
  return issuer;
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
let made = 0;

/** An id token of the issuer above; its signature is taken for genuine unless it says `forged`. */
function idToken(world: ExchangeWorld, more: JsonObject = {}, signature = 'genuine'): string {
  const now = Math.floor(world.ports.clock.now() / 1000);
  const payload = { iss: 'https://login.test', aud: 'caracal', sub: 'alice', iat: now, exp: now + 3600, ...more };
  return `${encoded({ alg: 'ES256', n: (made += 1) })}.${encoded(payload)}.${signature}`;
}

const nothing = { resources: [] } as const;
const signIn = (token: string): Partial<TokenRequest> => ({ ...nothing, subject: { token, type: 'id_token' } });

function grant(world: ExchangeWorld, resource: string, more: Partial<Grant> = {}): void {
  const key = `${world.agent.id} ${alice}`;
  const list = world.ports.subjects.grantsOf.get(key) ?? [];
  const resourceId = world.world.resources.get(resource)?.id ?? '';
  list.push({ resourceId, scopes: ['read'], expiresAtMs: undefined, ...more });
  world.ports.subjects.grantsOf.set(key, list);
}

const dropGrants = (world: ExchangeWorld): void => world.ports.subjects.grantsOf.clear();

describe('a user', () => {
  it('signs in with an id token and gets a mandate that says who, and opens nothing', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const answer = await world.ask(world.agent, signIn(idToken(world)));
    expect(answer).toMatchObject({ scopes: [], targets: [], denied: [] });
    const claims = claimsOf(answer.accessToken);
    expect(claims).toMatchObject({ use: 'ambient', sub: alice, sub_type: 'user', client_id: world.agent.id });
    expect(claims.scope).toBeUndefined();
    expect(claims.target).toBeUndefined();
    expect(claims.may_act).toBeUndefined();
    const record = world.ports.sessionRecords.records.get(claims.sid);
    expect(record).toMatchObject({ subject: alice, subjectType: 'user', applicationId: world.agent.id });
    expect(world.ports.sessionRecords.records.size).toBe(1);
    expect(world.ports.evidence.events.at(-1)).toMatchObject({
      decision: 'allow',
      metadata: { subject: alice, subject_issuer_id: issuerId, use: 'ambient' },
    });
  });

  it('signs in once with one id token', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const token = idToken(world);
    await world.ask(world.agent, signIn(token));
    expect(await refusalOf(world.ask(world.agent, signIn(token)))).toBe('token_replayed id_token');
    // A signature can be written in more than one way; what was signed is the same.
    const again = `${token.slice(0, token.lastIndexOf('.'))}.other`;
    expect(await refusalOf(world.ask(world.agent, signIn(again)))).toBe('token_replayed id_token');
    expect((await world.ask(world.agent, signIn(idToken(world)))).accessToken).toBeTruthy();
  });

  it('does not use its id token up by a request that could not be granted anyway', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const token = idToken(world);
    expect(await refusalOf(world.ask(world.agent, { ...signIn(token), ttlSeconds: 86_400 }))).toBe('invalid_request');
    expect((await world.ask(world.agent, signIn(token))).accessToken).toBeTruthy();
  });

  it('asks for nothing else with an id token', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const actorToken = await world.ambient(world.agent);
    for (const more of [
      { resources: ['a'] },
      { scopes: ['read'] },
      { agentSessionId: 's' },
      { delegationEdgeId: 'e' },
      { actorToken },
    ]) {
      const ask = world.ask(world.agent, { ...signIn(idToken(world)), ...more });
      expect(await refusalOf(ask)).toBe('invalid_request');
    }
  });

  it('is nobody without a genuine token of a registered issuer', async () => {
    const world = exchangeWorld();
    const ask = async (token: string): Promise<string> => refusalOf(world.ask(world.agent, signIn(token)));
    expect(await ask(idToken(world))).toBe('invalid_token unknown_subject_issuer');
    withIssuer(world, { issuer: world.ports.issuer });
    expect(await ask(idToken(world, { iss: world.ports.issuer }))).toBe('invalid_token unknown_subject_issuer');
    withIssuer(world);
    expect(await ask(idToken(world, {}, 'forged'))).toBe('invalid_token err_jws_signature_verification_failed');
    expect(await ask(idToken(world, { aud: 'other' }))).toBe('invalid_token wrong_audience');
    expect(await ask(await world.ambient(world.agent))).toBe('invalid_token unknown_subject_issuer');
    for (const junk of ['', 'a.b.c', '..', 'x', 'a'.repeat(20_000)]) {
      expect(await ask(junk)).toBe('invalid_token unknown_subject_issuer');
    }
    expect(await refusalOf(world.ask(world.agent, subjectOf(idToken(world))))).toMatch(/^invalid_token/);
  });

  it('is refused where policy says so, before which nothing is allowed', async () => {
    const seen: JsonObject[] = [];
    const world = exchangeWorld({
      judge: (input) => {
        seen.push(input);
        return policyAnswer('deny');
      },
    });
    withIssuer(world);
    const ask = world.ask(world.agent, signIn(idToken(world, { groups: ['staff'] })));
    expect(await refusalOf(ask)).toBe('policy_denied');
    expect(seen).toMatchObject([
      {
        action: { id: 'UserSession' },
        resource: { identifier: 'caracal:users' },
        context: {
          requested_scopes: ['user:session'],
          subject_claims: { sub: alice, sub_type: 'user', client_id: world.agent.id, claims: { groups: ['staff'] } },
        },
      },
    ]);
  });

  it('lives no longer than its id token', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const now = Math.floor(world.ports.clock.now() / 1000);
    expect((await world.ask(world.agent, signIn(idToken(world, { exp: now + 120 })))).expiresInSeconds).toBe(120);
  });
});

describe('what a user granted', () => {
  async function signedIn(world: ExchangeWorld, claims: JsonObject = {}): Promise<string> {
    return world.ambient(world.agent, signIn(idToken(world, claims)));
  }
  async function use(world: ExchangeWorld, token: string, more: Partial<TokenRequest> = {}): Promise<TokenGrant> {
    return world.ask(world.agent, { ...subjectOf(token), ...more });
  }

  it('stands where scopes and targets of a mandate would, resource by resource', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const token = await signedIn(world);
    expect(await refusalOf(use(world, token))).toBe('invalid_target not_granted_by_user');
    grant(world, 'a');
    expect(await use(world, token)).toMatchObject({ scopes: ['read'], targets: ['a'] });
    expect(await refusalOf(use(world, token, { scopes: ['write'] }))).toBe('invalid_scope scope_exceeds');
    const both = await use(world, token, { resources: ['a', 'b'] });
    expect(both).toMatchObject({ targets: ['a'], denied: [{ resource: 'b', error: 'invalid_target' }] });
    grant(world, 'b', { scopes: ['read', 'admin'] });
    expect(await use(world, token, { resources: ['a', 'b'] })).toMatchObject({ targets: ['a', 'b'], scopes: ['read'] });
  });

  it('is another application\u2019s business no more than another user\u2019s', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    grant(world, 'a');
    const bob = await signedIn(world, { sub: 'bob' });
    expect(await refusalOf(use(world, bob))).toBe('invalid_target not_granted_by_user');
    const token = await world.ambient(world.stranger, signIn(idToken(world)));
    expect(await refusalOf(world.ask(world.stranger, subjectOf(token)))).toBe('invalid_target not_granted_by_user');
  });

  it('ends when it says, and what rests on it ends then', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const token = await signedIn(world);
    grant(world, 'a', { expiresAtMs: world.ports.clock.now() + 45_000 });
    expect((await use(world, token)).expiresInSeconds).toBe(45);
    await world.ports.clock.advance(45_000);
    expect(await refusalOf(use(world, token))).toBe('invalid_target not_granted_by_user');
  });

  it('is nothing once its issuer is gone', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    grant(world, 'a');
    const token = await signedIn(world);
    world.ports.subjects.issuersOf.clear();
    expect(await refusalOf(use(world, token))).toBe('invalid_token unknown_subject_issuer');
  });

  it('bounds a governed call again, by what is granted at that moment', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    grant(world, 'a', { scopes: ['read', 'write'], expiresAtMs: world.ports.clock.now() + 2000 });
    const { accessToken } = await use(world, await signedIn(world));
    const call = async (): Promise<CallVerdict> =>
      authorizeCall(world.ports, {
        asked: { requestId: 'r', traceId: undefined },
        mandate: accessToken,
        zoneId: world.zone.id,
        resource: 'a',
        method: 'GET',
        path: '/x',
        proven: {},
        challenge: undefined,
        argumentsDigest: '',
      });
    const first = await call();
    expect(first).toMatchObject({ kind: 'allowed', scopes: ['read', 'write'], reusable: false });
    expect(first.kind === 'allowed' && first.validUntilMs).toBe(world.ports.clock.now() + 2000);
    dropGrants(world);
    grant(world, 'a');
    expect(await call()).toMatchObject({ kind: 'allowed', scopes: ['read'] });
    dropGrants(world);
    expect(await call()).toMatchObject({ kind: 'refused', failure: { reason: 'insufficient_scope' } });
    grant(world, 'a');
    world.ports.subjects.issuersOf.clear();
    expect(await call()).toMatchObject({ kind: 'refused', failure: { reason: 'invalid_token' } });
  });

  it('opens nothing to the user\u2019s own mandate at a resource', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    grant(world, 'a');
    const verdict = await authorizeCall(world.ports, {
      asked: { requestId: 'r', traceId: undefined },
      mandate: await signedIn(world),
      zoneId: world.zone.id,
      resource: 'a',
      method: 'GET',
      path: '/x',
      proven: {},
      challenge: undefined,
      argumentsDigest: '',
    });
    expect(verdict).toMatchObject({
      kind: 'refused',
      failure: { reason: 'invalid_token', privateDetail: 'wrong_target' },
    });
  });

  it('starts no session: the user\u2019s mandate opens the Coordinator no more than a resource', async () => {
    const world = exchangeWorld();
    withIssuer(world);
    const mint = mintSession(world.ports, {
      asked: { requestId: 'r', traceId: undefined },
      bearer: await signedIn(world),
      zoneId: world.zone.id,
      agentSessionId: 's',
      delegationEdgeId: undefined,
      scopes: [],
      resources: [],
      ttlSeconds: undefined,
      minDelegationEpoch: 0,
      passedOn: { dpop: undefined, path: '/x', certificateThumbprint: undefined },
      childJkt: undefined,
    });
    expect(await refusalOf(mint)).toBe('insufficient_scope wrong_scope');
  });

  it('keeps the claims policies may see for as long as the session, out of every token', async () => {
    const seen: JsonObject[] = [];
    const world = exchangeWorld({
      judge: (input) => {
        seen.push(input);
        return policyAnswer('allow');
      },
    });
    withIssuer(world);
    grant(world, 'a');
    const token = await signedIn(world, { groups: ['staff'], email: 'alice@example.test' });
    const { accessToken } = await use(world, token);
    expect(seen.at(-1)).toMatchObject({ context: { subject_claims: { claims: { groups: ['staff'] } } } });
    expect(JSON.stringify([seen, claimsOf(token), claimsOf(accessToken)])).not.toContain('alice@example.test');
    expect(JSON.stringify([claimsOf(token), claimsOf(accessToken)])).not.toContain('staff');
    world.ports.sessionRecords.records.clear();
    expect(await refusalOf(use(world, token))).toBe('invalid_token unknown_session_record');
  });

  it('is used by an actor the user\u2019s id token names, and by nobody else', async () => {
    const world = exchangeWorld();
    withIssuer(world, { mayAct: 'id_token' });
    grant(world, 'a');
    const token = await signedIn(world, { may_act: { client_id: world.stranger.id } });
    expect(claimsOf(token).may_act).toEqual({ client_id: world.stranger.id });
    const actorToken = await world.ambient(world.stranger);
    const acted = await world.ask(world.stranger, { ...subjectOf(token), actorToken });
    expect(claimsOf(acted.accessToken)).toMatchObject({
      sub: alice,
      client_id: world.stranger.id,
      act: { sub: world.stranger.id },
      delegation_chain: [{ app: world.agent.id }],
    });
    const other = await world.ambient(world.owner);
    expect(await refusalOf(world.ask(world.owner, { ...subjectOf(token), actorToken: other }))).toBe(
      'invalid_token actor_not_permitted',
    );
    expect(await refusalOf(use(world, token))).toBe('invalid_token actor_required');
    withIssuer(world, { mayAct: 'none' });
    expect(claimsOf(await signedIn(world, { may_act: { client_id: 'x' } })).may_act).toBeUndefined();
  });

  it('is used by an actor the application registered, where the issuer leaves it to that', async () => {
    const world = exchangeWorld();
    withIssuer(world, { mayAct: 'application' });
    const token = await world.ambient(world.owner, signIn(idToken(world, { may_act: { client_id: 'ignored' } })));
    expect(claimsOf(token).may_act).toEqual({ client_id: world.agent.id });
  });
});
