// Holds at the token endpoint of two STS replicas on real Postgres, Redis and OPA: raised, decided, spent once, refused for
// everything else, and told to who knows the secret.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent, request } from 'undici';
import type { RunningReplica } from '../../support/installation.ts';
import { claimsOf, form, grantType, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let replica: RunningReplica;
let zone: TestZone;
let agent: Agent;

/** Holds what is asked on `held` and `also-held`, denies on `denied`, allows everything else. */
const policy = `package caracal.authz

default result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["open"], "diagnostics": []}

result := answer("deny", []) if input.resource.identifier == "denied"

result := answer("allow", [{"step_up_required": "human_approval", "why": "money"}]) if startswith(input.resource.identifier, "held")

result := answer("allow", [{"step_up_required": {"type": "mfa", "ttl_seconds": 60}}]) if input.resource.identifier == "also-held"

answer(decision, diagnostics) := {
  "decision": decision, "evaluation_status": "complete", "determining_policies": ["holds"], "diagnostics": diagnostics,
}
`;

beforeAll(async () => {
  sts = await startSts();
  const ca = readFileSync(join(sts.installation.tlsFolder, 'ca.pem'));
  agent = new Agent({ connect: { ca, servername: 'localhost' }, connections: 100 });
  replica = await sts.installation.startReplica('sts');
  zone = await sts.zone();
  const numbered = Array.from({ length: 17 }, (_, at) => `held-${at}`);
  for (const identifier of ['held', 'also-held', 'denied', 'open', ...numbered]) {
    await sts.resource(zone, { identifier, scopes: ['pay', 'read'] });
  }
  await sts.policy(zone, [policy]);
});
afterAll(async () => {
  await agent.destroy();
  await sts[Symbol.asyncDispose]();
});

/** The same as `sts.token`, from the other replica. */
async function tokenElsewhere(application: TestApplication, fields: FormFields): Promise<Reply> {
  const own = { zone_id: application.zone.id, application_id: application.id, client_secret: application.secret };
  const answer = await request(`${replica.url}/oauth/2/token`, {
    method: 'POST',
    dispatcher: agent,
    body: form({ grant_type: grantType, ...own, ...fields }),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  return { status: answer.statusCode, headers: answer.headers, body: (await answer.body.json()) as Reply['body'] };
}

interface Challenge {
  readonly id: string;
  readonly secret: string;
}

const spending = ({ id, secret }: Challenge): FormFields => ({ challenge_id: id, challenge_response: secret });

function challengeOf(reply: Reply): Challenge {
  expect(reply).toMatchObject({ status: 401, body: { error: 'interaction_required' } });
  return { id: String(reply.body['challenge_id']), secret: String(reply.body['challenge_secret']) };
}

async function decide(id: string, decision: 'approved' | 'rejected', approver = 'alice'): Promise<unknown> {
  const [row] = await sts.inZone<{ outcome: string }>(
    zone.id,
    'SELECT sts_pub.decide_approval($1, $2, $3, $4, NULL, NULL) AS outcome',
    [zone.id, id, decision, approver],
  );
  return row?.outcome;
}

async function approved(application: TestApplication, fields: FormFields): Promise<Challenge> {
  const challenge = challengeOf(await sts.token(application, fields));
  expect(await decide(challenge.id, 'approved')).toBe('approved');
  return challenge;
}

interface Asking {
  readonly wait?: number;
  readonly url?: string;
}

async function status(id: string, secret: string, { wait, url = sts.url }: Asking = {}): Promise<Reply> {
  const answer = await request(`${url}/step-up/${id}${wait === undefined ? '' : `?wait=${wait}`}`, {
    dispatcher: agent,
    headers: { 'x-caracal-challenge-secret': secret },
  });
  return { status: answer.statusCode, headers: answer.headers, body: (await answer.body.json()) as Reply['body'] };
}

describe('a hold at the token endpoint', () => {
  test('answers with the challenge in the body and the header, and is spent once, on either replica', async () => {
    const application = await sts.application(zone);
    const asked = await sts.token(application, { resource: 'held' });
    expect(asked.status).toBe(401);
    expect(asked.headers['www-authenticate']).toBe('Bearer realm="caracal", error="interaction_required"');
    expect(asked.headers['cache-control']).toBe('no-store');
    expect(asked.body).toEqual({
      error: 'interaction_required',
      error_description: expect.any(String),
      challenge_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      challenge_type: 'human_approval',
      challenge_secret: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      challenge_expires_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      requestId: expect.any(String),
    });
    const challenge = challengeOf(asked);
    const early = await tokenElsewhere(application, { resource: 'held', ...spending(challenge) });
    expect(early).toMatchObject({ status: 401, body: { error: 'interaction_required', challenge_id: challenge.id } });
    expect(early.body).not.toHaveProperty('challenge_secret');
    expect(await decide(challenge.id, 'approved')).toBe('approved');
    const granted = await tokenElsewhere(application, { resource: 'held', ...spending(challenge) });
    expect(granted).toMatchObject({ status: 200, body: { target_resources: ['held'], scope: 'pay read' } });
    for (const ask of [sts.token, tokenElsewhere]) {
      const again = await ask(application, { resource: 'held', ...spending(challenge) });
      expect(again).toMatchObject({ status: 401, body: { error: 'access_denied', details: { state: 'consumed' } } });
    }
  });

  test('takes the secret under its other name, and neither part alone', async () => {
    const application = await sts.application(zone);
    const { id, secret } = await approved(application, { resource: 'held' });
    for (const odd of [
      { challenge_id: id },
      { challenge_response: secret },
      { challenge_id: id, challenge_response: '' },
      { challenge_id: id, challenge_response: secret, challenge_secret: secret },
      { challenge_id: [id, id], challenge_response: secret },
      { challenge_id: 'x y', challenge_response: secret },
    ]) {
      const refused = await sts.token(application, { resource: 'held', ...odd });
      expect(refused, JSON.stringify(odd)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    }
    const granted = await sts.token(application, { resource: 'held', challenge_id: id, challenge_secret: secret });
    expect(granted.status).toBe(200);
  });

  test('lets one of many at both replicas through', async () => {
    const application = await sts.application(zone);
    const fields = { resource: 'held', ...spending(await approved(application, { resource: 'held' })) };
    const replies = await Promise.all(
      Array.from({ length: 12 }, async (_, at) => (at % 2 ? sts.token : tokenElsewhere)(application, fields)),
    );
    expect(replies.filter(({ status: code }) => code === 200)).toHaveLength(1);
    const rows = await sts.sql<{ state: string }>('SELECT state FROM sts.approvals WHERE application_id = $1', [
      application.id,
    ]);
    expect(rows).toEqual([{ state: 'consumed' }]);
  });

  test('is bound to application, resources, scopes, class and session record', async () => {
    const [application, other] = [await sts.application(zone), await sts.application(zone)];
    const asked = { resource: 'held', scope: 'pay' };
    const challenge = await approved(application, asked);
    const invalid = {
      status: 401,
      body: { error: 'access_denied', error_description: 'The approval is not valid for this.' },
    };
    expect(await sts.token(other, { ...asked, ...spending(challenge) })).toMatchObject(invalid);
    for (const change of [{ scope: 'read' }, { scope: 'pay read' }, { resource: ['held', 'open'] }]) {
      expect(await sts.token(application, { ...asked, ...change, ...spending(challenge) })).toMatchObject(invalid);
    }
    const ambient = String(
      (await sts.token(application, { resource: 'held', scope: 'pay', ...spending(challenge) })).body['access_token'],
    );
    const second = await approved(application, asked);
    const later = String((await sts.token(application, { ...asked, ...spending(second) })).body['access_token']);
    const perCall = await approved(application, { ...asked, subject_token: ambient });
    expect(await sts.token(application, { ...asked, subject_token: later, ...spending(perCall) })).toMatchObject(
      invalid,
    );
    const granted = await sts.token(application, { ...asked, subject_token: ambient, ...spending(perCall) });
    expect(claimsOf(granted)).toMatchObject({ use: 'per_call', aud: ['held'], scope: 'pay' });
  });

  test('stands for all resources of a request, whatever their order, and is denied with none of them', async () => {
    const application = await sts.application(zone);
    const asked = { resource: ['open', 'held', 'also-held', 'denied'], scope: 'pay' };
    const first = await sts.token(application, asked);
    expect(first.body).toMatchObject({ error: 'interaction_required', challenge_type: 'human_approval' });
    const lifeMs = Date.parse(String(first.body['challenge_expires_at'])) - Date.now();
    expect(lifeMs).toBeLessThan(70_000);
    const challenge = challengeOf(first);
    await decide(challenge.id, 'approved');
    const granted = await sts.token(application, {
      ...asked,
      resource: ['also-held', 'denied', 'open', 'held'],
      ...spending(challenge),
    });
    expect(granted).toMatchObject({
      status: 200,
      body: { target_resources: ['also-held', 'open', 'held'], denied_resources: [{ resource: 'denied' }] },
    });
    expect(await sts.token(application, { resource: 'denied' })).toMatchObject({ body: { error: 'policy_denied' } });
  });

  test('is one hold however often it is asked about, and stays rejected', async () => {
    const application = await sts.application(zone);
    const asked = await Promise.all(
      Array.from({ length: 6 }, async (_, at) =>
        (at % 2 ? sts.token : tokenElsewhere)(application, { resource: 'held' }),
      ),
    );
    const challenges = asked.map(challengeOf);
    expect(new Set(challenges.map(({ id }) => id)).size).toBe(1);
    expect(new Set(challenges.map(({ secret }) => secret)).size).toBe(6);
    const [first] = challenges;
    if (!first) throw new Error('not asked');
    expect(await decide(first.id, 'rejected')).toBe('rejected');
    expect(await decide(first.id, 'approved', 'bob')).toBe('decided');
    const retried = await sts.token(application, { resource: 'held', ...spending(first) });
    expect(retried).toMatchObject({ status: 401, body: { error: 'access_denied', details: { state: 'rejected' } } });
    const again = await sts.token(application, { resource: 'held' });
    expect(again).toMatchObject({ status: 403, body: { error: 'policy_denied' } });
    expect(Number(again.headers['retry-after'])).toBeGreaterThan(200);
  });

  test('is over when its time is', async () => {
    const application = await sts.application(zone);
    const challenge = await approved(application, { resource: 'held' });
    await sts.sql(
      `UPDATE sts.approvals SET created_at = created_at - interval '10 min', expires_at = expires_at - interval '10 min'
        WHERE id = $1`,
      [challenge.id],
    );
    const late = await sts.token(application, { resource: 'held', ...spending(challenge) });
    expect(late).toMatchObject({ status: 401, body: { details: { state: 'expired' } } });
    expect(await status(challenge.id, challenge.secret)).toMatchObject({
      body: { state: 'expired', satisfied: false },
    });
    await expect
      .poll(async () => eventsOf(challenge.id), { timeout: 30_000, interval: 200 })
      .toEqual(['approval.requested', 'approval.approved', 'approval.expired']);
  });

  test('closes the way to who guesses, on both replicas, and to nobody else', async () => {
    const [application, other] = [await sts.application(zone), await sts.application(zone)];
    const challenge = await approved(application, { resource: 'held' });
    const wrong = { resource: 'held', challenge_id: challenge.id, challenge_response: 'x'.repeat(43) };
    for (let at = 0; at < 5; at += 1) {
      expect((await (at % 2 ? sts.token : tokenElsewhere)(application, wrong)).status).toBe(401);
    }
    const blocked = await tokenElsewhere(application, { resource: 'held', ...spending(challenge) });
    expect(blocked).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(200);
    const free = await approved(other, { resource: 'held' });
    expect((await sts.token(other, { resource: 'held', ...spending(free) })).status).toBe(200);
  });

  test('is raised sixteen times at once for one principal, and no more', async () => {
    const application = await sts.application(zone);
    const replies: Reply[] = [];
    for (let at = 0; at < 17; at += 1) replies.push(await sts.token(application, { resource: `held-${at}` }));
    expect(replies.filter(({ status: code }) => code === 401)).toHaveLength(16);
    expect(replies.at(-1)).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    expect(Number(replies.at(-1)?.headers['retry-after'])).toBeGreaterThan(200);
  });
});

async function eventsOf(id: string): Promise<readonly string[]> {
  const rows = await sts.sql<{ type: string }>(
    `SELECT payload ->> 'eventType' AS type FROM sts.outbox WHERE payload -> 'metadata' ->> 'approval_id' = $1
      ORDER BY ordinal`,
    [id],
  );
  return rows.map(({ type }) => type);
}

describe('the state of a hold', () => {
  test('is told to who knows the secret, by header or form, and to nobody else', async () => {
    const application = await sts.application(zone);
    const { id, secret } = challengeOf(await sts.token(application, { resource: 'held' }));
    const told = await status(id, secret);
    expect(told).toMatchObject({ status: 200 });
    expect(told.headers['cache-control']).toBe('no-store');
    expect(told.body).toEqual({
      id,
      challenge_type: 'human_approval',
      state: 'pending',
      satisfied: false,
      consumed: false,
      expires_at: expect.any(String),
    });
    const bearer = await request(`${replica.url}/step-up/${id}`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${secret}` },
    });
    expect(await bearer.body.json()).toMatchObject({ state: 'pending' });
    expect(await sts.post(`/step-up/${id}`, form({ challenge_response: secret }))).toMatchObject({
      status: 200,
      body: { state: 'pending' },
    });
    const unknown = await status('01900000-0000-7000-8000-0000000fffff', secret);
    const wrong = await status(id, 'x'.repeat(43));
    for (const refused of [
      unknown,
      wrong,
      await status(id, ''),
      await status('x', secret),
      await sts.get(`/step-up/${id}`),
    ]) {
      expect(refused.status).toBe(404);
      expect({ ...refused.body, requestId: '' }).toEqual({ ...unknown.body, requestId: '' });
    }
  });

  test('never takes the secret from the query', async () => {
    const application = await sts.application(zone);
    const { id, secret } = challengeOf(await sts.token(application, { resource: 'held' }));
    for (const query of [`challenge_secret=${secret}`, `secret=${secret}`, 'wait=1&wait=2', 'wait=x', 'wait=-1']) {
      expect((await sts.get(`/step-up/${id}?${query}`)).status, query).toBe(400);
    }
  });

  test('is waited for, and told as soon as somebody decides, at the other replica too', async () => {
    const application = await sts.application(zone);
    const { id, secret } = challengeOf(await sts.token(application, { resource: 'held' }));
    const begun = Date.now();
    const waiting = [status(id, secret, { wait: 25 }), status(id, secret, { wait: 25, url: replica.url })];
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await decide(id, 'approved')).toBe('approved');
    for (const told of await Promise.all(waiting))
      expect(told.body).toMatchObject({ state: 'approved', satisfied: true });
    expect(Date.now() - begun).toBeLessThan(15_000);
    await sts.token(application, { resource: 'held', ...spending({ id, secret }) });
    expect((await status(id, secret, { wait: 25 })).body).toMatchObject({
      state: 'consumed',
      satisfied: true,
      consumed: true,
    });
  });

  test('is answered as it is when the wait is over or the zone has as many waiting as it may', async () => {
    const application = await sts.application(zone);
    const { id, secret } = challengeOf(await sts.token(application, { resource: 'held' }));
    expect((await status(id, secret, { wait: 1 })).body).toMatchObject({ state: 'pending' });
    const waiting = Array.from({ length: 64 }, async () => status(id, secret, { wait: 25 }));
    // Each that finds a place keeps it, so that the places fill however the first ones arrive.
    const oneMore = async (): Promise<unknown> => {
      const more = status(id, secret, { wait: 25 });
      waiting.push(more);
      const told = await Promise.race([more, new Promise<undefined>((resolve) => setTimeout(resolve, 300, undefined))]);
      return told?.headers['retry-after'];
    };
    await expect.poll(oneMore, { timeout: 24_000, interval: 50 }).toBe('2');
    const elsewhere = await waitInAnotherZone();
    expect(elsewhere.headers['retry-after']).toBeUndefined();
    await decide(id, 'rejected');
    const told = await Promise.all(waiting);
    const waited = told.filter(({ headers }) => headers['retry-after'] === undefined);
    expect(waited).toHaveLength(64);
    for (const { body } of waited) expect(body).toMatchObject({ state: 'rejected', satisfied: false });
  });
});

/** A second's wait for a hold of another zone. */
async function waitInAnotherZone(): Promise<Reply> {
  const other = await sts.zone();
  await sts.resource(other, { identifier: 'held', scopes: ['pay'] });
  await sts.policy(other, [policy]);
  const { id, secret } = challengeOf(await sts.token(await sts.application(other), { resource: 'held' }));
  return status(id, secret, { wait: 1 });
}

describe('a replica that ends', () => {
  test('answers who waits there before it goes', async () => {
    const application = await sts.application(zone);
    const { id, secret } = challengeOf(await sts.token(application, { resource: 'held' }));
    const leaving = await sts.installation.startReplica('sts');
    const waiting = status(id, secret, { wait: 25, url: leaving.url });
    await new Promise((resolve) => setTimeout(resolve, 500));
    leaving.process.signal('SIGTERM');
    expect(await waiting).toMatchObject({ status: 200, body: { state: 'pending' } });
    expect(await leaving.process.exited).toMatchObject({ code: 0 });
  });
});

describe('secrets of holds', () => {
  test('stand in no log and in no event', async () => {
    const application = await sts.application(zone);
    const challenge = await approved(application, { resource: 'held' });
    await status(challenge.id, challenge.secret);
    await sts.token(application, { resource: 'held', ...spending(challenge) });
    const [row] = await sts.sql<{ text: string }>(
      `SELECT (SELECT coalesce(string_agg(payload::text, ''), '') FROM sts.outbox) ||
              (SELECT string_agg(to_jsonb(a)::text, '') FROM sts.approvals AS a) AS text`,
    );
    expect(row?.text).toContain(challenge.id);
    expect(row?.text).not.toContain(challenge.secret);
    expect(sts.installation.process('sts').log()).not.toContain(challenge.secret);
  });
});
