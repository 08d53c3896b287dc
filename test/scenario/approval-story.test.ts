// The story of an approval over STS, API, Gateway and Audit as processes: an agent asks, is held, somebody approves, it is
// done once, and the ledger tells all of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallReply, type GovernedWorld, startGovernedWorld } from './governed-world.ts';

let world: GovernedWorld;
let approver: string;

beforeAll(async () => {
  world = await startGovernedWorld({ services: ['sts', 'audit', 'coordinator', 'api', 'gateway'] });
  const body = { name: 'alice', scope: 'zone', zone_id: world.zone.id, capability: 'approve', sub: 'alice' };
  approver = String((await admin('POST', '/v1/admin-tokens', { body })).body['token']);
  await activate(holding('human_approval'));
});

afterAll(() => world[Symbol.asyncDispose]());

interface AdminReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function admin(
  method: 'GET' | 'POST',
  path: string,
  { body, token }: { body?: object; token?: string } = {},
): Promise<AdminReply> {
  const { urls, adminToken } = world.sts.installation;
  const reply = await request(`${urls.api}${path}`, {
    method,
    dispatcher: world.dispatcher,
    headers: {
      authorization: `Bearer ${token ?? adminToken}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.body.text();
  const answered = { status: reply.statusCode, body: JSON.parse(text) as AdminReply['body'] };
  if (reply.statusCode >= 500) throw new Error(text);
  return answered;
}

/** Allows everything, and payments and live streams only once they are approved. */
const holding = (type: string): string => `package caracal.authz

default result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}

result := {
  "decision": "allow", "evaluation_status": "complete", "determining_policies": ["payments"],
  "diagnostics": [{"step_up_required": "${type}", "why": "it cannot be taken back"}],
} if {
  input.action.id == "GatewayCall"
  input.action.path in {"/pay", "/live"}
}
`;

const denyAll = `package caracal.authz

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["closed"], "diagnostics": []}
`;

/** Makes the text the zone's policy, and waits until the STS enforces it. */
async function activate(content: string): Promise<void> {
  const zone = `/v1/zones/${world.zone.id}`;
  const made = async (path: string, body: object): Promise<AdminReply['body']> => {
    const reply = await admin('POST', `${zone}/${path}`, { body });
    expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: expect.toSatisfy((code) => Number(code) < 300) });
    return reply.body;
  };
  const name = `p-${Math.random()}`;
  const { version } = await made('policies', { name, content });
  const set = String((await made('policy-sets', { name }))['id']);
  const manifest = [{ policy_version_id: (version as { id: string }).id }];
  const setVersion = await made(`policy-sets/${set}/versions`, { manifest });
  await made(`policy-sets/${set}/activate`, { version_id: setVersion['id'] });
  const isEnforced = async (): Promise<boolean> =>
    (await admin('GET', `${zone}/policy-sets/${set}/activation-status`)).body['propagated'] === true;
  for (let attempt = 1; !(await isEnforced()); attempt += 1) {
    if (attempt > 300) throw new Error('the policy is not enforced');
    await sleep(100);
  }
}

interface Challenge {
  readonly id: string;
  readonly secret: string;
}

const bringing = ({ id, secret }: Challenge) => ({
  'x-caracal-challenge-id': id,
  'x-caracal-challenge-secret': secret,
});

function challengeOf(reply: CallReply): Challenge {
  expect(reply).toMatchObject({ status: 401, error: 'interaction_required' });
  const body = JSON.parse(reply.text) as Record<string, string>;
  return { id: body['challenge_id'] ?? '', secret: body['challenge_secret'] ?? '' };
}

/** What the STS says of a hold as soon as it is decided. */
async function decided({ id, secret }: Challenge): Promise<unknown> {
  for (;;) {
    const reply = await request(`${world.sts.url}/step-up/${id}?wait=25`, {
      dispatcher: world.dispatcher,
      headers: { authorization: `Bearer ${secret}` },
    });
    const { state } = (await reply.body.json()) as { state: string };
    if (state !== 'pending') return state;
  }
}

const approve = async (id: string): Promise<AdminReply> =>
  admin('POST', `/v1/zones/${world.zone.id}/approvals/${id}/approve`, {
    body: { reason: 'invoice 42' },
    token: approver,
  });

describe('an agent whose action has to be approved', () => {
  const requests: string[] = [];
  let challenge: Challenge;
  let mandate: string;

  it('is held, and nothing reaches the upstream', async () => {
    mandate = await world.mandate();
    const reply = await world.call(mandate, '/pay?to=ann', { method: 'POST' });
    requests.push(reply.requestId);
    challenge = challengeOf(reply);
    expect(world.seen).toEqual([]);
  });

  it('is seen by the approver in words, approved, and told at once', async () => {
    const waiting = decided(challenge);
    const listed = await admin('GET', `/v1/zones/${world.zone.id}/approvals?state=pending`, { token: approver });
    const [item] = listed.body['items'] as Record<string, unknown>[];
    expect(item).toMatchObject({ id: challenge.id, request_id: requests[0], state: 'pending' });
    expect(item?.['summary']).toMatch(
      /will once call POST \/pay \(arguments sha256:[0-9a-f]{16}…\) on reports with write\.$/,
    );
    expect(await approve(challenge.id)).toMatchObject({
      status: 200,
      body: { state: 'approved', decided_by: 'alice' },
    });
    expect(await waiting).toBe('approved');
  });

  it('cannot use the approval for anything else', async () => {
    const other = await world.call(mandate, '/pay?to=bob', { method: 'POST', headers: bringing(challenge) });
    expect(other).toMatchObject({ status: 401, error: 'access_denied' });
    expect(world.seen).toEqual([]);
  });

  it('does it once, and not a second time', async () => {
    const done = await world.call(mandate, '/pay?to=ann', { method: 'POST', headers: bringing(challenge) });
    requests.push(done.requestId);
    expect(done.status).toBe(200);
    const again = await world.call(mandate, '/pay?to=ann', { method: 'POST', headers: bringing(challenge) });
    requests.push(again.requestId);
    expect(again).toMatchObject({ status: 401, error: 'access_denied' });
    expect(world.seen.map(({ url }) => url)).toEqual(['/pay?to=ann']);
    const headers = JSON.stringify(world.seen[0]?.rawHeaders).toLowerCase();
    expect(headers).not.toContain('challenge');
  });

  it('leaves a ledger that tells the whole story, and no secret', async () => {
    const approvalId = challenge.id;
    const story = async (): Promise<string[]> => {
      const { entries } = await world.audit.searchEvents({ zoneId: world.zone.id, limit: 1000 });
      const told = entries
        .toSorted((a, b) => Number(a.seq - b.seq))
        .flatMap(({ event }) => (event ? [event] : []))
        .filter((event) => JSON.stringify(event.metadata ?? {}).includes(approvalId));
      return told.map((event) => `${event.eventType} ${event.decision}`.trim());
    };
    const expected = [
      ...['approval.requested', 'approval.approved', 'approval.consumed', 'admin.mutation'],
      ...['gateway.decision deny', 'gateway.decision allow', 'gateway.decision deny'],
    ];
    await expect
      .poll(async () => (await story()).toSorted(), { timeout: 30_000, interval: 200 })
      .toEqual(expected.toSorted());
    const [asked, done, again] = await Promise.all(
      requests.map(async (id) => world.trace(id, (types) => types.includes('gateway.decision'))),
    );
    const facts = (entries: typeof asked): unknown =>
      entries?.find(({ event }) => event?.eventType === 'gateway.decision')?.event?.metadata;
    expect(facts(asked)).toMatchObject({ reason: 'interaction_required', approval_id: approvalId });
    expect(facts(done)).toMatchObject({ approval_id: approvalId, policy_decision: 'hold' });
    expect(facts(again)).toMatchObject({ reason: 'challenge_invalid', approval_id: approvalId });
    const { entries } = await world.audit.searchEvents({ zoneId: world.zone.id, limit: 1000 });
    expect(
      JSON.stringify(entries, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ).not.toContain(challenge.secret);
  });
});

describe('a stream that was opened with an approval', () => {
  it('lives on under a policy that asks for no more, and is cut by one that denies', async () => {
    const mandate = await world.mandate();
    const challenge = challengeOf(await world.call(mandate, '/live'));
    await approve(challenge.id);
    const open = await request(`${world.sts.installation.urls.gateway}/live`, {
      dispatcher: world.dispatcher,
      headers: { authorization: `Bearer ${mandate}`, 'x-caracal-resource': 'reports', ...bringing(challenge) },
    });
    expect(open.statusCode).toBe(200);
    let state = 'open';
    const ended = (async () => {
      for await (const _chunk of open.body);
    })().then(
      () => (state = 'ended'),
      () => (state = 'cut'),
    );
    const requestId = String(open.headers['x-request-id']);
    const decidedAgain = async (): Promise<string[]> => {
      const entries = await world.trace(requestId, () => true);
      return entries.flatMap(({ event }) => {
        const metadata = (event?.metadata ?? {}) as { decided_again?: boolean };
        return event?.eventType === 'gateway.decision' && metadata.decided_again === true ? [event.decision] : [];
      });
    };
    await activate(holding('mfa'));
    await expect.poll(decidedAgain, { timeout: 30_000, interval: 200 }).toContain('allow');
    expect(state).toBe('open');
    await activate(denyAll);
    await ended;
    expect(state).toBe('cut');
    await expect.poll(decidedAgain, { timeout: 30_000, interval: 200 }).toContain('deny');
  });
});
