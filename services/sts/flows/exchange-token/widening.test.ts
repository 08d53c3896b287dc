// Random chains of exchange with users, actors and grants that come and go: no mandate ever says more than everything above
// it allowed at the moment it was made. What was allowed is reckoned here anew, from the world and not from the flow.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import type { ActorName, MandateClaims } from '#mesh/mandate';
import { claimsOf, exchangeWorld, subjectOf } from '../../../../test/support/exchange-world.ts';
import type { Client, ExchangeWorld } from '../../../../test/support/exchange-world.ts';
import type { Grant } from '../../domain/subject-issuer.ts';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import type { TokenRequest } from './token-request.ts';

const issuerId = '01900000-0000-7000-8000-00000000bbbb';
const people = ['alice', 'bob'] as const;
const resources = ['a', 'b'] as const;
const scopeNames = ['read', 'write', 'admin'] as const;
const clients = ['owner', 'agent', 'stranger'] as const;

type ClientName = (typeof clients)[number];

/** A mandate that was made, and how long it may live at most by what it came from. */
interface Made {
  readonly token: string;
  readonly claims: MandateClaims;
}

const scopes = fc.option(fc.uniqueArray(fc.constantFrom(...scopeNames), { minLength: 1 }), { nil: undefined });
const wanted = fc.uniqueArray(fc.constantFrom('a', ...resources, 'gone'), { minLength: 1 });
const who = fc.constantFrom(...clients);
const seconds = fc.option(fc.integer({ min: 1, max: 900 }), { nil: undefined });
const pick = fc.nat({ max: 1000 });

const exchange = fc.record({
  kind: fc.constant('exchange' as const),
  ...{ who, wanted, scopes, seconds, subject: pick, actor: fc.option(pick, { nil: undefined }) },
  // Most ask as they may, some as they like.
  fitting: fc.nat({ max: 3 }).map((chance) => chance > 0),
});

const change = fc.oneof(
  fc.record({ kind: fc.constant('ambient' as const), who, wanted, scopes, seconds }),
  fc.record({ kind: fc.constant('sign_in' as const), who, person: fc.constantFrom(...people), names: fc.boolean() }),
  fc.record({
    kind: fc.constant('grant' as const),
    ...{ who, person: fc.constantFrom(...people), resource: fc.constantFrom(...resources) },
    scopes: fc.uniqueArray(fc.constantFrom(...scopeNames), { minLength: 1 }),
    lives: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('revoke_grants' as const), who, person: fc.constantFrom(...people) }),
  fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 120 }) }),
  fc.record({ kind: fc.constant('register' as const), names: fc.uniqueArray(who) }),
);
const step = fc.oneof({ weight: 2, arbitrary: exchange }, { weight: 3, arbitrary: change });
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

class Run {
  readonly world: ExchangeWorld;
  readonly made: Made[] = [];
  readonly allowedByPolicy = new Set<string>();
  granted = 0;
  acted = 0;
  ofUsers = 0;
  #counted = 0;

  constructor(denied: readonly string[]) {
    this.world = exchangeWorld({
      registered: [],
      judge: (input) => {
        const { identifier } = input['resource'] as { identifier: string };
        const { requested_scopes: asked } = input['context'] as { requested_scopes: string[] };
        if (denied.includes(identifier)) return policyAnswer('deny');
        for (const scope of asked) this.allowedByPolicy.add(`${identifier} ${scope}`);
        return policyAnswer('allow');
      },
    });
    this.world.addResource('b', ['read', 'admin']);
    this.world.ports.subjects.issuersOf.set(issuerId, {
      ...{ id: issuerId, zoneId: this.world.zone.id, issuer: 'https://login.test', jwksUrl: 'https://login.test/keys' },
      ...{ audience: 'caracal', algorithms: ['ES256'], claims: {}, mayAct: 'id_token', version: 1 },
    });
  }

  now(): number {
    return this.world.ports.clock.now();
  }

  client(name: ClientName): Client {
    return this.world[name];
  }

  grantsOf(applicationId: string, subject: string): Grant[] {
    const key = `${applicationId} ${subject}`;
    const list = this.world.ports.subjects.grantsOf.get(key) ?? [];
    this.world.ports.subjects.grantsOf.set(key, list);
    return list;
  }

  async ask(name: ClientName, fields: Partial<TokenRequest>): Promise<Made | undefined> {
    try {
      const { accessToken } = await this.world.ask(this.client(name), fields);
      return { token: accessToken, claims: claimsOf(accessToken) };
    } catch (error) {
      if (error instanceof Failure && error.entry.httpStatus < 500) return undefined;
      throw error;
    }
  }

  idToken(person: string, names: boolean): string {
    const at = Math.floor(this.now() / 1000);
    this.#counted += 1;
    const permission = names ? { may_act: { client_id: this.world.agent.id } } : {};
    const payload = { iss: 'https://login.test', aud: 'caracal', sub: person, iat: at, exp: at + 600, ...permission };
    return `${encoded({ alg: 'ES256', n: this.#counted })}.${encoded(payload)}.genuine`;
  }
}

const listOf = (claims: MandateClaims): readonly string[] => claims.scope?.split(' ') ?? [];

function expectActor(subject: Made, actor: Made | undefined, result: Made): void {
  const names = subject.claims.may_act;
  if (!actor) {
    expect(names).toBeUndefined();
    expect(subject.claims.client_id).toBe(result.claims.client_id);
    expect(result.claims.act).toBeUndefined();
    return;
  }
  const named: readonly ActorName[] = names?.any_of ?? (names ? [names] : []);
  expect(named.map(({ client_id: id }) => id)).toContain(actor.claims.client_id);
  expect(actor.claims.client_id).toBe(result.claims.client_id);
  expect(actor.claims.sub).not.toBe(subject.claims.sub);
  expect(result.claims.act).toMatchObject({ sub: actor.claims.sub, sid: actor.claims.sid });
  expect(result.claims.exp).toBeLessThanOrEqual(actor.claims.exp);
}

/** What the subject allows at one target at this moment, from the world. */
function allowedAt(run: Run, subject: Made, target: string): readonly string[] {
  const { claims } = subject;
  if (claims.sub_type === 'application') return claims.target?.includes(target) ? listOf(claims) : [];
  const id = run.world.world.resources.get(target)?.id;
  const live = run
    .grantsOf(claims.client_id, claims.sub)
    .find((grant) => grant.resourceId === id && (grant.expiresAtMs ?? Infinity) > run.now());
  return live?.scopes ?? [];
}

function expectNarrow(run: Run, subject: Made, result: Made): void {
  expect(result.claims).toMatchObject({
    ...{ use: 'per_call', sub: subject.claims.sub, sub_type: subject.claims.sub_type, sid: subject.claims.sid },
  });
  expect(result.claims.exp).toBeLessThanOrEqual(subject.claims.exp);
  expect(listOf(result.claims).length).toBeGreaterThan(0);
  for (const target of result.claims.target ?? []) {
    const declared = run.world.world.resources.get(target)?.scopes ?? [];
    const allowed = allowedAt(run, subject, target);
    for (const scope of listOf(result.claims)) {
      expect(allowed).toContain(scope);
      expect(declared).toContain(scope);
      expect(run.allowedByPolicy).toContain(`${target} ${scope}`);
    }
  }
}

function expectWithinGrants(run: Run, subject: Made, result: Made): void {
  if (subject.claims.sub_type !== 'user') return;
  run.ofUsers += 1;
  for (const target of result.claims.target ?? []) {
    const id = run.world.world.resources.get(target)?.id;
    const ends = run
      .grantsOf(subject.claims.client_id, subject.claims.sub)
      .filter((grant) => grant.resourceId === id)
      .map(({ expiresAtMs }) => expiresAtMs ?? Infinity);
    expect(result.claims.exp * 1000).toBeLessThanOrEqual(Math.max(...ends));
  }
}

interface Choice {
  readonly subject: Made;
  readonly actor: Made | undefined;
  readonly name: ClientName;
}

function choose(run: Run, one: Extract<Step, { kind: 'exchange' }>): Choice | undefined {
  const { made } = run;
  const subject = made[one.subject % Math.max(1, made.length)];
  if (!subject) return undefined;
  const any = one.actor === undefined ? undefined : made[one.actor % made.length];
  if (!one.fitting) return { subject, actor: any, name: one.who };
  const { may_act: names, client_id: clientId } = subject.claims;
  const named = [names?.client_id, ...(names?.any_of ?? []).map(({ client_id: id }) => id)];
  const actor = names && made.find(({ claims }) => named.includes(claims.client_id) && claims.sub === claims.client_id);
  const id = actor?.claims.client_id ?? clientId;
  return { subject, actor, name: clients.find((name) => run.client(name).id === id) ?? one.who };
}

async function exchangeStep(run: Run, one: Extract<Step, { kind: 'exchange' }>): Promise<void> {
  const choice = choose(run, one);
  if (!choice) return;
  const { subject, actor, name } = choice;
  const result = await run.ask(name, {
    ...subjectOf(subject.token),
    ...(actor ? { actorToken: actor.token } : {}),
    ...{ resources: one.wanted, scopes: one.scopes, ttlSeconds: one.seconds },
  });
  if (!result) return;
  run.granted += 1;
  if (actor) run.acted += 1;
  expectActor(subject, actor, result);
  expectNarrow(run, subject, result);
  expectWithinGrants(run, subject, result);
}

function keep(run: Run, made: Made | undefined): void {
  if (made) run.made.push(made);
}

function grantStep(run: Run, one: Extract<Step, { kind: 'grant' }>): void {
  const list = run.grantsOf(run.client(one.who).id, `user:${issuerId}:${one.person}`);
  const resourceId = run.world.world.resources.get(one.resource)?.id ?? '';
  // One live grant per resource, as the API keeps it.
  const others = list.filter((grant) => grant.resourceId !== resourceId);
  const expiresAtMs = one.lives === undefined ? undefined : run.now() + one.lives * 1000;
  list.splice(0, list.length, ...others, { resourceId, scopes: one.scopes, expiresAtMs });
}

async function take(run: Run, one: Step): Promise<void> {
  switch (one.kind) {
    case 'ambient': {
      const { wanted: asked, scopes: named, seconds: lives } = one;
      keep(run, await run.ask(one.who, { resources: asked, scopes: named, ttlSeconds: lives }));
      return;
    }
    case 'sign_in': {
      const token = run.idToken(one.person, one.names);
      const made = await run.ask(one.who, { resources: [], subject: { token, type: 'id_token' } });
      expect(made?.claims.scope).toBeUndefined();
      expect(made?.claims.target).toBeUndefined();
      keep(run, made);
      return;
    }
    case 'exchange':
      await exchangeStep(run, one);
      return;
    case 'grant':
      grantStep(run, one);
      return;
    case 'revoke_grants':
      run.grantsOf(run.client(one.who).id, `user:${issuerId}:${one.person}`).length = 0;
      return;
    case 'wait':
      await run.world.ports.clock.advance(one.seconds * 1000);
      return;
    case 'register':
      run.world.register(one.names.map((name) => ({ client_id: run.client(name).id })));
  }
}

describe('nothing widens', () => {
  it('through users, actors and grants, in any order, while they change', async () => {
    const met = { granted: 0, acted: 0, ofUsers: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 30, size: 'max' }),
        fc.uniqueArray(fc.constantFrom('b', 'b', 'a', 'caracal:users'), { maxLength: 1 }),
        async (steps, denied) => {
          const run = new Run(denied);
          // Something to begin with, so that most runs get somewhere.
          keep(run, await run.ask('agent', { resources: ['a', 'b'], scopes: ['read'] }));
          await take(run, { kind: 'sign_in', who: 'owner', person: 'alice', names: true });
          await take(run, {
            kind: 'grant',
            who: 'owner',
            person: 'alice',
            resource: 'a',
            scopes: ['read'],
            lives: undefined,
          });
          for (const one of steps) await take(run, one);
          met.granted += run.granted;
          met.acted += run.acted;
          met.ofUsers += run.ofUsers;
        },
      ),
      { numRuns: 300 },
    );
    // A property that never grants anything would hold of a wall.
    expect(met.granted).toBeGreaterThan(100);
    expect(met.acted).toBeGreaterThan(5);
    expect(met.ofUsers).toBeGreaterThan(5);
  });
});
