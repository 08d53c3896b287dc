// Hostile values in every field of every message and JSON route: a refusal of the catalogue that names fields and repeats no
// value, never a failure of ours.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { newId } from '#mesh/ids';
import { type Answer, type CoordinatorWorld, type Holder, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let token: string;
let session: Holder;

beforeAll(async () => {
  world = await startCoordinatorWorld();
  token = await world.mandate();
  session = await world.start(token);
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const canary = 'Canary-5e1d';

/** Requests that would be answered, one field of which is then replaced. */
function messages(): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const zoneId = world.zone.id;
  const of = { zoneId, sessionId: session.id };
  return {
    StartSession: {
      zoneId,
      applicationId: world.application.id,
      parentId: '',
      kind: 'SESSION_KIND_INSTANCE',
      ttlSeconds: 60,
      mandate: false,
      scopes: ['read'],
      resources: ['calendar'],
      passLifecycle: false,
      idempotencyKey: '',
      labels: { purpose: 'test' },
    },
    RenewSessionMandate: { ...of, delegationEdgeId: '', scopes: ['read'], resources: [], ttlSeconds: 60 },
    EndSession: { zoneId, sessionId: newId(), reason: 'test', waitApplied: false },
    GetSession: of,
    ListSessions: { zoneId, limit: 1, cursor: '', states: ['SESSION_STATE_ACTIVE'] },
    CreateDelegation: {
      zoneId,
      sourceSessionId: session.id,
      targetSessionId: newId(),
      scopes: ['read'],
      constraints: { resources: [], maxHops: 1, ttlSeconds: 60 },
      ttlSeconds: 60,
      parentEdgeId: '',
      idempotencyKey: '',
      mandate: false,
    },
    RevokeDelegation: { zoneId, edgeId: newId(), reason: 'test', waitApplied: false },
  };
}

const hostileText = fc.constantFrom(
  `${canary}\u0000`,
  `\ud800${canary}`,
  `${canary}\udfff`,
  canary.repeat(5000),
  `${canary}'; DROP TABLE coordinator.agent_sessions; --`,
  `${canary}\r\nX-Injected: yes`,
  `\u202e${canary}`,
  `{"$ne":"${canary}"}`,
  `%00%2e%2e/${canary}`,
  '\u{1f9e8}'.repeat(129),
  '__proto__',
  'constructor',
);

const hostile = fc.oneof(
  hostileText,
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom<unknown>(
    -1,
    1.5,
    4_294_967_296,
    1e308,
    '99999999999999999999',
    'NaN',
    true,
    null,
    'SESSION_STATE_NO',
    99,
  ),
  fc.array(hostileText, { maxLength: 3 }),
  fc.array(fc.constant('read'), { minLength: 65, maxLength: 70 }),
  fc.constant(Array.from({ length: 65 }, (_unused, at) => `scope-${at}`)),
  fc.dictionary(hostileText, fc.oneof(hostileText, fc.integer())),
  fc.jsonValue({ maxDepth: 4 }),
);

/** JSON.stringify escapes half surrogates, as a hostile client would. */
const asText = (value: unknown): string => JSON.stringify(value) ?? 'null';

function expectRefusalOrAnswer(answer: Answer, context: string): void {
  expect(answer.status, `${context}: ${JSON.stringify(answer.body)}`).toBeLessThan(500);
  if (answer.status >= 400) {
    expect(answer.reason, context).toBeDefined();
    expect(JSON.stringify(answer.body), context).not.toContain(canary);
  }
}

describe('over Connect JSON', () => {
  const methods = Object.values(CoordinatorService.method).map(({ name }) => name);

  it.each(methods)('%s takes any value in any field without failing', async (method) => {
    const valid = messages()[method];
    if (valid === undefined) throw new Error(`no message for ${method}`);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(valid), 'unheardOf'), hostile, async (field, value) => {
        const answer = await world.rpc(method, asText({ ...valid, [field]: value }), { token: token });
        expectRefusalOrAnswer(answer, `${method}.${field} = ${asText(value).slice(0, 200)}`);
      }),
      { numRuns: 150 },
    );
  });

  it.each(methods)('%s takes any document without failing', async (method) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string(), fc.constant('['.repeat(5000))), async (text) => {
        const answer = await world.rpc(method, text, { token });
        expectRefusalOrAnswer(answer, `${method}: ${text.slice(0, 200)}`);
      }),
      { numRuns: 40 },
    );
  });

  const named: readonly (readonly [string, object, readonly string[]])[] = [
    ['StartSession', { ttlSeconds: 86_401 }, ['ttl_seconds']],
    ['StartSession', { scopes: Array.from({ length: 65 }, (_unused, at) => `s${at}`) }, ['scopes']],
    ['StartSession', { scopes: ['read', 'two words'] }, ['scopes[1]']],
    ['StartSession', { resources: ['a\u0000b'] }, ['resources[0]']],
    ['StartSession', { labels: { a: 'x'.repeat(65) } }, ['labels']],
    ['StartSession', { parentId: 'a b', idempotencyKey: 'ä' }, ['parent_id', 'idempotency_key']],
    ['ListSessions', { limit: 501 }, ['limit']],
    ['ListSessions', { cursor: 'nonsense' }, ['cursor']],
    [
      'ListSessions',
      { cursor: Buffer.from(`2026-13-45T99:99:99.999999Z ${newId()}`).toString('base64url') },
      ['cursor'],
    ],
    [
      'ListSessions',
      { cursor: Buffer.from(`2026-02-30T00:00:00.000000Z ${newId()}`).toString('base64url') },
      ['cursor'],
    ],
    [
      'ListSessions',
      { cursor: Buffer.from(`0000-01-01T00:00:00.000000Z ${newId()}`).toString('base64url') },
      ['cursor'],
    ],
    ['ListSessions', { states: [99] }, ['states[0]']],
    ['EndSession', { reason: 'x'.repeat(257) }, ['reason']],
    ['EndSession', { reason: 'a\u0000b' }, ['reason']],
    ['CreateDelegation', { scopes: [] }, ['scopes']],
    ['CreateDelegation', { ttlSeconds: 0 }, ['ttl_seconds']],
    ['CreateDelegation', { constraints: { maxHops: 11 } }, ['constraints.max_hops']],
    ['GetSession', { zoneId: '', sessionId: '../../etc' }, ['zone_id', 'session_id']],
  ];

  it.each(named)('%s names the fields of %j', async (method, change, fields) => {
    const answer = await world.rpc(method, { ...messages()[method], ...change }, { token });
    expect(answer).toMatchObject({ status: 400, reason: 'invalid_request', fields });
  });

  it('a message over 1 MiB is refused, and so is one in no known type', async () => {
    const huge = await world.rpc('GetSession', { zoneId: 'x'.repeat(1_100_000) }, { token });
    expect(huge.status).toBeGreaterThanOrEqual(400);
    expect(huge.status).toBeLessThan(500);
    const headers = { 'content-type': 'text/plain' };
    expect(await world.rpc('GetSession', '{}', { token, headers })).toMatchObject({ status: 415 });
  });
});

describe('over the JSON routes', () => {
  it('bodies take any value in any field without failing', async () => {
    const zone = world.zone.id;
    const bodies = {
      agents: {
        application_id: world.application.id,
        parent_id: null,
        session_sid: 'x',
        kind: 'instance',
        capabilities: [],
        ttl_seconds: 60,
        metadata: {},
        scopes: [],
      },
      delegations: {
        source_session_id: session.id,
        target_session_id: newId(),
        scopes: ['read'],
        constraints: {},
        expires_at: new Date(Date.now() + 60_000).toISOString(),
        ttl_seconds: 60,
        issuer_application_id: world.application.id,
      },
    } as const;
    const pair = fc
      .constantFrom('agents', 'delegations')
      .chain((kind) =>
        fc.tuple(fc.constant(kind), fc.constantFrom(...Object.keys(bodies[kind as 'agents']), 'unheard_of')),
      );
    await fc.assert(
      fc.asyncProperty(pair, hostile, async ([kind, field], value) => {
        const body = asText({ ...bodies[kind as 'agents'], [field]: value });
        const answer = await world.json(`POST /zones/${zone}/${kind}`, { token, body });
        expectRefusalOrAnswer(answer, `${kind}.${field} = ${asText(value).slice(0, 200)}`);
        if (field === 'unheard_of') expect(answer).toMatchObject({ status: 400, reason: 'invalid_request' });
      }),
      { numRuns: 300 },
    );
  });

  it('paths, queries and headers take anything without failing', async () => {
    const text = fc.oneof(hostileText, fc.string({ unit: 'binary', maxLength: 100 })).map((value) => {
      return encodeURIComponent(value.toWellFormed().slice(0, 1500));
    });
    await fc.assert(
      fc.asyncProperty(text, text, async (one, other) => {
        const zone = world.zone.id;
        for (const route of [
          `GET /zones/${one}/agents`,
          `GET /zones/${zone}/agents?cursor=${one}&limit=${other}`,
          `GET /zones/${zone}/agents?status=${one}`,
          `GET /zones/${zone}/agents/${one}`,
          `GET /zones/${zone}/agents/${one}/children?cursor=${other}`,
          `DELETE /zones/${zone}/agents/${one}?reason=${other}&wait=${one}`,
          `GET /zones/${zone}/delegations/inbound/${one}`,
          `PATCH /zones/${zone}/delegations/${one}/revoke?timeout_ms=${other}`,
        ] as const)
          expectRefusalOrAnswer(await world.json(route, { token }), route.slice(0, 300));
      }),
      { numRuns: 40 },
    );
  });
});

it('covers every call of the contract', () => {
  expect(Object.keys(messages()).toSorted()).toEqual(
    Object.values(CoordinatorService.method)
      .map(({ name }) => name)
      .toSorted(),
  );
});
