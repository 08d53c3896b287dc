import { describe, expect, it } from 'vitest';
import type { MandateClaims } from '#mesh/mandate';
import { claimsOf, exchangeWorld, refusalOf, signedWith, subjectOf } from '../../../../test/support/exchange-world.ts';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { authorizeCall } from '../authorize-call/authorize-call.ts';
import type { CallVerdict } from '../authorize-call/call-question.ts';
import type { TokenGrant } from './token-request.ts';

describe('an actor', () => {
  it('uses the mandate of another client that names it, and is written into what it gets', async () => {
    const world = exchangeWorld();
    const subject = await world.ambient(world.owner, { scopes: ['read'] });
    expect(claimsOf(subject).may_act).toEqual({ client_id: world.agent.id });
    const actorToken = await world.ambient(world.agent);
    const grant = await world.ask(world.agent, { ...subjectOf(subject), actorToken });
    const claims = claimsOf(grant.accessToken);
    expect(claims).toMatchObject({
      use: 'per_call',
      sub: world.owner.id,
      client_id: world.agent.id,
      scope: 'read',
      target: ['a'],
      sid: claimsOf(subject).sid,
      act: { sub: world.agent.id, client_id: world.agent.id, sid: claimsOf(actorToken).sid },
      delegation_chain: [{ app: world.owner.id }],
    });
    expect(claims.may_act).toBeUndefined();
    expect(world.ports.evidence.events.at(-1)?.metadata).toMatchObject({
      application_id: world.agent.id,
      subject: world.owner.id,
      subject_application_id: world.owner.id,
      actor: world.agent.id,
      actor_jti: claimsOf(actorToken).jti,
    });
  });

  it('that the subject does not name is refused: the wrong actor with may_act', async () => {
    const world = exchangeWorld();
    const subject = await world.ambient(world.owner);
    const actorToken = await world.ambient(world.stranger);
    const ask = world.ask(world.stranger, { ...subjectOf(subject), actorToken });
    expect(await refusalOf(ask)).toBe('invalid_token actor_not_permitted');
    expect(world.ports.evidence.events.at(-1)).toMatchObject({ decision: 'deny', zoneId: world.zone.id });
  });

  it('that is missing is refused, even to the client the subject was issued to: no actor with may_act', async () => {
    const world = exchangeWorld();
    const subject = await world.ambient(world.owner);
    expect(await refusalOf(world.ask(world.owner, subjectOf(subject)))).toBe('invalid_token actor_required');
    expect(await refusalOf(world.ask(world.agent, subjectOf(subject)))).toBe('invalid_token subject_of_another_client');
  });

  it('is refused where nobody may act', async () => {
    const world = exchangeWorld({ registered: [] });
    const subject = await world.ambient(world.owner);
    expect(claimsOf(subject).may_act).toBeUndefined();
    const actorToken = await world.ambient(world.agent);
    const ask = world.ask(world.agent, { ...subjectOf(subject), actorToken });
    expect(await refusalOf(ask)).toBe('invalid_token no_actor_permitted');
  });

  it('may be any of those registered, by client or by subject', async () => {
    const world = exchangeWorld();
    world.register([{ client_id: world.stranger.id }, { sub: world.agent.id }]);
    const subject = await world.ambient(world.owner);
    for (const client of [world.stranger, world.agent]) {
      const grant = await world.ask(client, { ...subjectOf(subject), actorToken: await world.ambient(client) });
      expect(claimsOf(grant.accessToken).act?.sub).toBe(client.id);
    }
  });

  it('shows a mandate of its own client and of another subject', async () => {
    const world = exchangeWorld();
    world.register([{ client_id: world.agent.id }, { client_id: world.owner.id }]);
    const subject = await world.ambient(world.owner);
    const own = await world.ambient(world.owner);
    expect(await refusalOf(world.ask(world.owner, { ...subjectOf(subject), actorToken: own }))).toBe(
      'invalid_token actor_is_subject',
    );
    const agents = await world.ambient(world.agent);
    expect(await refusalOf(world.ask(world.stranger, { ...subjectOf(subject), actorToken: agents }))).toBe(
      'invalid_token actor_of_another_client',
    );
    const perCall = await world.ask(world.agent, subjectOf(await world.ambient(world.agent)));
    expect(await refusalOf(world.ask(world.agent, { ...subjectOf(subject), actorToken: perCall.accessToken }))).toBe(
      'invalid_token wrong_use',
    );
    expect(await refusalOf(world.ask(world.agent, { actorToken: agents }))).toBe('invalid_request');
  });

  it('brings who acts for it, nested beneath, and never more than a verifier reads', async () => {
    const world = exchangeWorld();
    const subject = await signedWith(world, await world.ambient(world.owner), { act: { sub: 'before' } });
    const actorToken = await signedWith(world, await world.ambient(world.agent), {
      act: { sub: 'c', act: { sub: 'd' } },
    });
    const grant = await world.ask(world.agent, { ...subjectOf(subject), actorToken });
    expect(claimsOf(grant.accessToken).act).toMatchObject({
      sub: world.agent.id,
      act: { sub: 'c', act: { sub: 'd', act: { sub: 'before' } } },
    });
    const chain = (length: number): NonNullable<MandateClaims['act']> =>
      length === 1 ? { sub: 'x' } : { sub: 'x', act: chain(length - 1) };
    const long = await signedWith(world, actorToken, { act: chain(10) });
    expect(await refusalOf(world.ask(world.agent, { ...subjectOf(subject), actorToken: long }))).toBe(
      'invalid_token too_many_actors',
    );
  });

  it('ends what it got with its own mandate, and shortens it', async () => {
    const world = exchangeWorld();
    const subject = await world.ambient(world.owner);
    const actorToken = await world.ambient(world.agent, { ttlSeconds: 60 });
    const ask = async (): Promise<TokenGrant> => world.ask(world.agent, { ...subjectOf(subject), actorToken });
    const grant = await ask();
    expect(grant.expiresInSeconds).toBe(60);
    const derived = await world.ports.mandateReader.verify(grant.accessToken);
    const anchors = world.ports.mandateReader.anchorsOf(derived);
    const ends = [
      { kind: 'session', id: claimsOf(actorToken).sid },
      { kind: 'application', id: world.agent.id },
      { kind: 'subject', id: world.agent.id },
      { kind: 'application', id: world.owner.id },
      { kind: 'session', id: claimsOf(subject).sid },
    ] as const;
    for (const anchor of ends) expect(anchors).toContainEqual(anchor);
    world.ports.revocations.revoke(world.zone.id, { kind: 'session', id: claimsOf(actorToken).sid });
    expect(await refusalOf(ask())).toBe('token_revoked');
  });

  it('that ends while policy is asked gets nothing', async () => {
    const hooks: { before?: () => void } = {};
    const world = exchangeWorld({
      judge: () => {
        hooks.before?.();
        return policyAnswer('allow');
      },
    });
    const subject = await world.ambient(world.owner);
    const actorToken = await world.ambient(world.agent);
    const { sid } = claimsOf(actorToken);
    hooks.before = () => world.ports.revocations.revoke(world.zone.id, { kind: 'session', id: sid });
    expect(await refusalOf(world.ask(world.agent, { ...subjectOf(subject), actorToken }))).toBe('token_revoked');
  });

  it('gets nothing of a client that has ended, nor beyond its end', async () => {
    const world = exchangeWorld();
    const subject = await world.ambient(world.owner);
    const actorToken = await world.ambient(world.agent);
    const ask = async (): Promise<TokenGrant> => world.ask(world.agent, { ...subjectOf(subject), actorToken });
    const application = world.world.applications.get(world.owner.id);
    if (!application) throw new Error('no owner');
    const now = world.ports.clock.now();
    world.world.applications.set(application.id, { ...application, expiresAtMs: now + 30_000 });
    expect((await ask()).expiresInSeconds).toBe(30);
    world.world.applications.set(application.id, { ...application, expiresAtMs: now });
    expect(await refusalOf(ask())).toBe('invalid_token unknown_client_of_subject');
    world.world.applications.delete(application.id);
    expect(await refusalOf(ask())).toBe('invalid_token unknown_client_of_subject');
  });

  it('keeps to the session the subject is bound to, which stays its owner\u2019s', async () => {
    const world = exchangeWorld();
    const session = {
      id: '01900000-0000-7000-8000-00000000aaaa',
      zoneId: world.zone.id,
      applicationId: world.owner.id,
      parentId: undefined,
      kind: 'instance',
      state: 'active',
      depth: 0,
      scopes: ['read'],
      resources: ['a'],
      sid: 's',
      passLifecycle: false,
      expiresAtMs: Date.UTC(2027, 0, 1),
    };
    world.world.sessions.set(session.id, session);
    const subject = await world.ambient(world.owner, { agentSessionId: session.id });
    const actorToken = await world.ambient(world.agent);
    const ask = async (): Promise<TokenGrant> => world.ask(world.agent, { ...subjectOf(subject), actorToken });
    const claims = claimsOf((await ask()).accessToken);
    expect(claims).toMatchObject({
      agent_session_id: session.id,
      delegation_chain: [{ app: world.owner.id, session: session.id }],
    });
    const { accessToken } = await ask();
    const call = async (): Promise<CallVerdict> =>
      authorizeCall(world.ports, {
        ...{ asked: { requestId: 'r', traceId: undefined }, mandate: accessToken, zoneId: world.zone.id },
        ...{ resource: 'a', method: 'GET', path: '/x', proven: {} },
      });
    expect(await call()).toMatchObject({ kind: 'allowed', scopes: ['read'] });
    expect(world.ports.evidence.events.at(-1)?.metadata).toMatchObject({
      subject: world.owner.id,
      actor: world.agent.id,
    });
    world.world.sessions.set(session.id, { ...session, state: 'suspended' });
    expect(await refusalOf(ask())).toBe('access_denied session_not_active');
    expect(await call()).toMatchObject({ kind: 'refused', failure: { reason: 'token_revoked' } });
  });

  it('is told to policy beside the subject, without ids of tokens', async () => {
    const seen: unknown[] = [];
    const world = exchangeWorld({
      judge: (input) => {
        seen.push(input['context']);
        return policyAnswer('allow');
      },
    });
    const subject = await world.ambient(world.owner);
    const actorToken = await world.ambient(world.agent);
    await world.ask(world.agent, { ...subjectOf(subject), actorToken });
    expect(seen.at(-1)).toMatchObject({
      actor_claims: { caracal_client_id: world.agent.id, sub: world.agent.id, sub_type: 'application' },
      subject_claims: { sub: world.owner.id, client_id: world.owner.id },
    });
    expect(JSON.stringify(seen)).not.toMatch(/"(sid|root_sid|jti)"/);
  });
});
