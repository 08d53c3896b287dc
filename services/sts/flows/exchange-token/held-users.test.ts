import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { claimsOf, exchangeWorld, subjectOf } from '../../../../test/support/exchange-world.ts';
import type { Client, ExchangeWorld } from '../../../../test/support/exchange-world.ts';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { authorizeCall } from '../authorize-call/authorize-call.ts';
import type { TokenRequest } from './token-request.ts';

const issuerId = '01900000-0000-7000-8000-00000000bbbb';
const alice = `user:${issuerId}:alice`;
const held: JsonObject = { ...policyAnswer('allow'), diagnostics: [{ step_up_required: 'human_approval' }] };

/** Holds the actions that are named. */
function setUp(...actions: readonly string[]): ExchangeWorld {
  const world = exchangeWorld({
    judge: (input) => (actions.includes((input['action'] as { id: string }).id) ? held : policyAnswer('allow')),
  });
  world.ports.subjects.issuersOf.set(issuerId, {
    id: issuerId,
    zoneId: world.zone.id,
    issuer: 'https://login.test',
    jwksUrl: 'https://login.test/keys',
    audience: 'caracal',
    algorithms: ['ES256'],
    claims: {},
    mayAct: 'none',
    version: 1,
  });
  const resourceId = world.world.resources.get('a')?.id ?? '';
  for (const name of ['alice', 'bob']) {
    const key = `${world.agent.id} user:${issuerId}:${name}`;
    world.ports.subjects.grantsOf.set(key, [{ resourceId, scopes: ['read'], expiresAtMs: undefined }]);
  }
  return world;
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
let made = 0;

function signIn(world: ExchangeWorld, sub: string): Partial<TokenRequest> {
  const now = Math.floor(world.ports.clock.now() / 1000);
  const payload = { iss: 'https://login.test', aud: 'caracal', sub, iat: now, exp: now + 3600 };
  const token = `${encoded({ alg: 'ES256', n: (made += 1) })}.${encoded(payload)}.genuine`;
  return { resources: [], subject: { token, type: 'id_token' } };
}

interface Refusal {
  readonly reason: string;
  readonly challenge: { readonly id: string; readonly secret: string };
}

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error('nothing was refused', { cause: error });
  const text = (name: string): string => {
    const value = error.details?.[name];
    return typeof value === 'string' ? value : '';
  };
  return { reason: error.reason, challenge: { id: text('challenge_id'), secret: text('challenge_secret') } };
}

/** Asks, has it approved, and gives what the retry carries. */
async function approved(
  world: ExchangeWorld,
  client: Client,
  fields: Partial<TokenRequest>,
): Promise<Refusal['challenge']> {
  const { reason, challenge } = await refusal(world.ask(client, fields));
  expect(reason).toBe('interaction_required');
  expect(await world.ports.holds.decide(challenge.id, 'approved', 'carol')).toBe('approved');
  return challenge;
}

describe('a user', () => {
  it('signs in by an approval, with a fresh id token, and nobody else by theirs', async () => {
    const world = setUp('UserSession');
    const challenge = await approved(world, world.agent, signIn(world, 'alice'));
    const wrong = [
      world.ask(world.agent, { ...signIn(world, 'bob'), challenge }),
      world.ask(world.stranger, { ...signIn(world, 'alice'), challenge }),
    ];
    for (const ask of wrong) expect((await refusal(ask)).reason).toBe('challenge_invalid');
    const grant = await world.ask(world.agent, { ...signIn(world, 'alice'), challenge });
    expect(claimsOf(grant.accessToken)).toMatchObject({ sub: alice, sub_type: 'user' });
  });

  it('is approved for by others alone, whatever name they go by', async () => {
    const world = setUp('UserSession');
    const { challenge } = await refusal(world.ask(world.agent, signIn(world, 'alice')));
    for (const name of [alice, 'alice', world.agent.id]) {
      expect(await world.ports.holds.decide(challenge.id, 'approved', name), name).toBe('own_chain');
    }
    expect(await world.ports.holds.decide(challenge.id, 'approved', `user:${issuerId}:carol`)).toBe('approved');
  });

  it('has a call approved for their own sign-in, not for another of theirs or somebody else’s', async () => {
    const world = setUp('TokenExchange');
    const mandates = await Promise.all(
      ['alice', 'alice', 'bob'].map(async (sub) => (await world.ask(world.agent, signIn(world, sub))).accessToken),
    );
    const [mine = '', mineLater = '', bobs = ''] = mandates;
    const challenge = await approved(world, world.agent, subjectOf(mine));
    for (const other of [mineLater, bobs]) {
      expect((await refusal(world.ask(world.agent, { ...subjectOf(other), challenge }))).reason).toBe(
        'challenge_invalid',
      );
    }
    const grant = await world.ask(world.agent, { ...subjectOf(mine), challenge });
    expect(claimsOf(grant.accessToken)).toMatchObject({ sub: alice, use: 'per_call', target: ['a'] });
  });

  it('has a governed call approved by its own mandates alone', async () => {
    const world = setUp('GatewayCall');
    const session = (await world.ask(world.agent, signIn(world, 'alice'))).accessToken;
    const perCall = async (): Promise<string> => (await world.ask(world.agent, subjectOf(session))).accessToken;
    const call = async (mandate: string, challenge?: Refusal['challenge']) =>
      authorizeCall(world.ports, {
        asked: { requestId: `r-${(made += 1)}`, traceId: undefined },
        ...{ mandate, zoneId: world.zone.id, resource: 'a', method: 'GET', path: '/x', proven: {}, challenge },
      });
    const first = await call(await perCall());
    if (first.kind !== 'refused') throw new Error('allowed');
    const { challenge } = await refusal(Promise.reject(first.failure));
    await world.ports.holds.decide(challenge.id, 'approved', 'carol');
    expect(await call(await perCall(), challenge)).toMatchObject({ kind: 'allowed', reusable: false });
    expect(await call(await perCall(), challenge)).toMatchObject({ kind: 'refused' });
  });
});

describe('an actor', () => {
  it('is part of what it does, and of what was approved', async () => {
    const world = setUp('TokenExchange');
    const sessions = async (client: Client): Promise<string> => {
      const challenge = await approved(world, client, {});
      return (await world.ask(client, { challenge })).accessToken;
    };
    const [subject, actorToken] = [await sessions(world.owner), await sessions(world.agent)];
    const acting = { ...subjectOf(subject), actorToken };
    const { challenge } = await refusal(world.ask(world.agent, acting));
    for (const name of [world.owner.id, world.agent.id]) {
      expect(await world.ports.holds.decide(challenge.id, 'approved', name)).toBe('own_chain');
    }
    await world.ports.holds.decide(challenge.id, 'approved', 'carol');
    const grant = await world.ask(world.agent, { ...acting, challenge });
    expect(claimsOf(grant.accessToken)).toMatchObject({ sub: world.owner.id, act: { sub: world.agent.id } });
  });
});

describe('a store that is away', () => {
  it('holds everything back that policy holds, and nothing else', async () => {
    const world = setUp('TokenExchange');
    const challenge = await approved(world, world.agent, {});
    const away = async (): Promise<never> => {
      throw new Failure('store_unavailable');
    };
    const { holds } = world.ports;
    for (const [name, fields] of [
      ['raise', {}],
      ['look', { challenge }],
      ['spend', { challenge }],
    ] as const) {
      Object.defineProperty(holds, name, { value: away, configurable: true });
      expect((await refusal(world.ask(world.agent, fields))).reason).toBe('store_unavailable');
      Reflect.deleteProperty(holds, name);
    }
    expect(await world.ask(world.agent, { challenge })).toMatchObject({ targets: ['a'] });
  });
});
