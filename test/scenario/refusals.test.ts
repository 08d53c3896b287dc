// What must not pass does not, through the whole chain of real processes: each with its documented error, nothing at the
// upstream, and its evidence in the ledger.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { encodeMandate, parseMandate } from '#mesh/mandate';
import type { TestApplication, TestZone } from '../integration/sts/sts-installation.ts';
import { allowAll } from '../integration/sts/sts-installation.ts';
import { type GovernedWorld, startGovernedWorld } from './governed-world.ts';

let world: GovernedWorld;
let mandate: string;
let foreignZone: TestZone;
let foreignApplication: TestApplication;

beforeAll(async () => {
  world = await startGovernedWorld({ overrides: { gateway: { UPSTREAM_TIMEOUT: '1s', STREAM_IDLE_TIMEOUT: '2s' } } });
  mandate = await world.mandate();
  foreignZone = await world.sts.zone();
  foreignApplication = await world.sts.application(foreignZone);
  await world.sts.resource(foreignZone, { identifier: 'reports', scopes: ['read'] });
  await world.sts.policy(foreignZone, [allowAll]);
});

afterAll(() => world[Symbol.asyncDispose]());

const claimsOf = (token: string) => {
  const parsed = parseMandate(token);
  if (parsed === undefined) throw new Error('not a mandate');
  return parsed;
};

/** The mandate with other claims, under a key that is not the zone's but has its name. */
function forged(change: object): string {
  const { header, claims } = claimsOf(mandate);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return encodeMandate({ ...claims, ...change }, { kid: header.kid, privateKey });
}

function tampered(change: object): string {
  const [header = '', payload = '', signature = ''] = mandate.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  return [header, Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url'), signature].join('.');
}

const perCall = async (): Promise<string> => {
  const exchanged = await world.sts.token(world.application, {
    resource: 'reports',
    scope: 'read',
    subject_token: mandate,
  });
  return String(exchanged.body['access_token']);
};

describe('the Gateway refuses', () => {
  const cases: readonly (readonly [string, () => string | undefined | Promise<string>, string])[] = [
    ['no token', () => undefined, 'unauthenticated'],
    ['a token that is none', () => 'not-a-token', 'invalid_token'],
    ['a huge token', () => 'a'.repeat(20_000), 'invalid_token'],
    ['three random parts', () => [1, 2, 3].map(() => randomBytes(40).toString('base64url')).join('.'), 'invalid_token'],
    ['a changed claim', () => tampered({ scope: 'read write admin' }), 'invalid_token'],
    ['a signature by another key', () => forged({}), 'invalid_token'],
    [
      'an expired mandate',
      () => forged({ iat: claimsOf(mandate).claims.iat - 7200, exp: claimsOf(mandate).claims.iat - 3600 }),
      'invalid_token',
    ],
    ['a mandate of a zone that does not exist', () => forged({ zone_id: newId() }), 'invalid_token'],
    ['a mandate for other resources', () => world.mandate({ resource: 'nowhere', scope: 'read' }), 'invalid_token'],
  ];

  it.each(cases)('%s', async (_name, token, error) => {
    const before = world.seen.length;
    const reply = await world.call(await token(), '/reports', { headers: { 'x-caracal-resource': 'reports' } });
    expect(reply).toMatchObject({ status: 401, error });
    const challenges = [reply.headers['www-authenticate']].flat().join(', ');
    expect(challenges).toMatch(/^Bearer /);
    // Who showed nothing may come with either (RFC 9449 §7.1).
    expect(challenges.includes('DPoP algs=')).toBe(error === 'unauthenticated');
    expect(world.seen.length).toBe(before);
  });

  it('a mandate of another zone where the path names the zone', async () => {
    const reply = await world.sts.token(foreignApplication, { resource: 'reports', scope: 'read' });
    const foreign = String(reply.body['access_token']);
    expect(await world.call(mandate, `${world.mount}/reports`, { resource: '' })).toMatchObject({ status: 200 });
    const before = world.seen.length;
    const refused = await world.call(foreign, `${world.mount}/reports`, { resource: '' });
    expect(refused).toMatchObject({ status: 401, error: 'invalid_token' });
    expect(world.seen.length).toBe(before);
  });

  it('a single-use mandate shown twice, and once only', async () => {
    const once = await perCall();
    expect(await world.call(once, '/reports')).toMatchObject({ status: 200 });
    const again = await world.call(once, '/reports');
    expect(again).toMatchObject({ status: 401 });
    expect(again.text).toContain('token_replayed');
  });

  it('a single-use mandate shown many times at once, but for one', async () => {
    const once = await perCall();
    const replies = await Promise.all(Array.from({ length: 20 }, () => world.call(once, '/reports')));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(19);
  });

  it('a resource that nobody knows', async () => {
    const reply = await world.call(mandate, '/reports', { resource: 'unheard-of' });
    expect([401, 403, 404]).toContain(reply.status);
    expect(world.seen.at(-1)?.url).not.toBe('/unheard-of');
  });

  it('paths that two readers could understand differently', async () => {
    for (const path of ['/a/../b', '/a/%2e%2e/b', '/a%2fb', '/a%5cb', '//a', '/a;b', '/%zz', '/a%00b']) {
      const before = world.seen.length;
      expect(await world.call(mandate, path), path).toMatchObject({ status: 400 });
      expect(world.seen.length, path).toBe(before);
    }
  });

  it('an operation whose scope the mandate lacks, and says which', async () => {
    const readOnly = await world.mandate({ scope: 'read' });
    const reply = await world.call(readOnly, '/reports', { method: 'POST' });
    expect(reply).toMatchObject({ status: 403, error: 'insufficient_scope' });
    expect(reply.headers['www-authenticate']).toContain('scope="write"');
  });

  it('an operation that is declared nowhere', async () => {
    expect(await world.call(mandate, '/reports', { method: 'DELETE' })).toMatchObject({ status: 403 });
  });
});

describe('an upstream', () => {
  it('that is away is 502, that is slow is 504, and neither tells where it is', async () => {
    const nowhere = await world.mandate({ resource: 'nowhere', scope: 'read' });
    const away = await world.call(nowhere, '/x', { resource: 'nowhere' });
    expect([502, 403]).toContain(away.status);
    const slow = await world.call(mandate, '/slow');
    expect(slow).toMatchObject({ status: 504, error: 'upstream_timeout' });
    for (const { text } of [away, slow]) expect(text).not.toMatch(/127\.0\.0\.1|ECONN/);
  });

  it('that breaks off in the middle breaks off the answer, with its outcome in the ledger', async () => {
    const requestId = newId();
    await expect(world.call(mandate, '/cut', { headers: { 'x-request-id': requestId } })).rejects.toThrow();
    const entries = await world.trace(requestId, (types) => types.includes('gateway.outcome'));
    const types = entries.map(({ event }) => event?.eventType);
    expect(types).toEqual(['gateway.decision', 'gateway.outcome']);
    expect(entries[0]?.event?.decision).toBe('allow');
  });
});

describe('the ledger', () => {
  it('holds every refusal of a verified mandate under its request id, and no allow beside it', async () => {
    const requestId = newId();
    const readOnly = await world.mandate({ scope: 'read' });
    await world.call(readOnly, '/reports', { method: 'POST', headers: { 'x-request-id': requestId } });
    const entries = await world.trace(requestId, (types) => types.length > 0);
    const decisions = entries.filter(({ event }) => event?.eventType === 'gateway.decision');
    expect(decisions.map(({ event }) => event?.decision)).toEqual(['deny']);
  });

  it('names the one row that was altered', async () => {
    const requestId = newId();
    await world.call(mandate, '/reports', { headers: { 'x-request-id': requestId } });
    await world.trace(requestId, (types) => types.includes('gateway.outcome'));
    const altered = await world.sts.sql<{ seq: string }>(
      `UPDATE audit.events SET canonical = replace(canonical, '"allow"', '"deny"')
       WHERE zone_id = $1 AND request_id = $2 AND event_type = 'gateway.decision' RETURNING seq`,
      [world.zone.id, requestId],
    );
    expect(altered).toHaveLength(1);
    const progresses = await Array.fromAsync(world.audit.verifyRange({ zoneId: world.zone.id }));
    const findings = progresses.flatMap((progress) => progress.findings);
    expect(findings.map(({ seq, kind }) => [seq, kind])).toEqual([[BigInt(altered[0]?.seq ?? 0), 'edited_row']]);
  });
});
