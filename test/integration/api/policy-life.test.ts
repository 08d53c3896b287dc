// The life of a policy over the API with real STS, Audit and OPA: tried on one input, replayed over what was decided, watched,
// activated on every replica, and taken back.
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findFreePorts } from '../../../dev/components/ports.ts';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

const patience = { timeout: 60_000, interval: 50 };
const identifier = 'resource://calendar';
const readOnly = `package caracal.authz

default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["read-only"], "diagnostics": [{"reason": "writes are not allowed"}]}

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["read-only"], "diagnostics": []} if {
  count(input.context.requested_scopes) > 0
  every scope in input.context.requested_scopes { endswith(scope, ":read") }
}
`;

let api: ApiInstallation;
let opa: Restartable<RunningOpa>;
let agent: Agent;
let zone: string;
let set: string;
let application: { readonly id: string; readonly secret: string };
const versions: Record<'all' | 'reads', string> = { all: '', reads: '' };

const post = (path: string, body?: unknown): Promise<Reply> =>
  api.call('POST', path, body === undefined ? {} : { body });

async function addVersion(name: string, content: string): Promise<string> {
  const policy = await post(`${zone}/policies`, { name, content });
  const manifest = [{ policy_version_id: (policy.body['version'] as { id: string }).id }];
  return textOf(await post(`${set}/versions`, { manifest }), 'id');
}

async function token(scope: string): Promise<number> {
  const fields = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    zone_id: zone.split('/').at(-1) ?? '',
    application_id: application.id,
    client_secret: application.secret,
    resource: identifier,
    scope,
  });
  const answer = await request(`${api.installation.urls.sts}/oauth/2/token`, {
    method: 'POST',
    dispatcher: agent,
    body: fields.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  await answer.body.dump();
  return answer.statusCode;
}

async function recorded(): Promise<readonly Record<string, unknown>[]> {
  const page = await api.call('GET', `${zone}/audit?event_type=token.exchange&limit=100`);
  return page.body['items'] as Record<string, unknown>[];
}

beforeAll(async () => {
  opa = await privateOpa();
  const { url, token: opaToken } = opa.running();
  api = await startApi({
    services: ['sts', 'audit', 'api'],
    overrides: { sts: { OPA_URL: url, OPA_TOKEN: opaToken, OPA_TIMEOUT_MS: '5000' } },
  });
  const ca = readFileSync(join(api.installation.tlsFolder, 'ca.pem'));
  agent = new Agent({ connect: { ca, servername: 'localhost' } });
  zone = `/v1/zones/${await api.zone()}`;
  const made = await post(`${zone}/applications`, { name: 'agent' });
  application = { id: textOf(made, 'id'), secret: textOf(made, 'client_secret') };
  const scopes = ['calendar:read', 'calendar:write'];
  await post(`${zone}/resources`, { identifier, name: 'c', scopes, upstream_url: 'https://calendar.example' });
  set = `${zone}/policy-sets/${textOf(await post(`${zone}/policy-sets`, { name: 's' }), 'id')}`;
  versions.all = await addVersion('all', allowAll);
  versions.reads = await addVersion('reads', readOnly);
}, 120_000);
afterAll(async () => {
  await agent?.destroy();
  await api?.[Symbol.asyncDispose]();
  await opa?.[Symbol.asyncDispose]();
});

describe('an activation', () => {
  it('returns when every live replica enforces it, when it is asked to wait', async () => {
    const activated = await post(`${set}/activate?wait=propagated`, { version_id: versions.all });
    expect(activated).toMatchObject({ status: 202, body: { activated: true, propagated: true, points: 1 } });
    expect(await token('calendar:write')).toBe(200);
    const status = await api.call('GET', `${set}/activation-status`);
    expect(status.body).toMatchObject({ propagated: true, points: 1, waiting: [], active_version_id: versions.all });
  });

  it('leaves the decision and its input in the ledger', async () => {
    expect(await token('calendar:read')).toBe(200);
    await expect.poll(async () => (await recorded()).length, patience).toBe(2);
    expect((await recorded())[0]).toMatchObject({ metadata: { policy_decision: 'allow' } });
  });
});

describe('a simulation', () => {
  it('decides one input by a stored version, enforcing and recording nothing', async () => {
    const before = (await recorded()).length;
    const input = { context: { requested_scopes: ['calendar:write'] } };
    const simulated = await post(`${set}/simulate`, { version_id: versions.reads, input });
    expect(simulated).toMatchObject({
      status: 200,
      body: {
        ...{ would_activate: true, decision: 'deny', evaluation_status: 'complete', problems: [] },
        ...{ determining_policies: ['reads/read-only'], diagnostics: [{ reason: 'writes are not allowed' }] },
      },
    });
    expect(await token('calendar:write')).toBe(200);
    await expect.poll(async () => (await recorded()).length, patience).toBe(before + 1);
  });

  it('decides a recorded input by policies that are not stored, beside how it went', async () => {
    const writes = (await recorded()).find(({ metadata }) => JSON.stringify(metadata).includes('calendar:write'));
    const simulated = await post(`${set}/simulate`, { policies: [{ content: readOnly }], event_id: writes?.['id'] });
    expect(simulated.body).toMatchObject({
      decision: 'deny',
      recorded: { decision: 'allow', event_id: writes?.['id'] },
    });
  });

  it('says with line and column what keeps a policy from being activated', async () => {
    const forbidden = 'package caracal.authz\n\nresult := http.send({"method": "get", "url": "http://x"})\n';
    const simulated = await post(`${set}/simulate`, { policies: [{ content: forbidden }], input: {} });
    expect(simulated.body).toMatchObject({
      would_activate: false,
      problems: [{ line: 3, column: 11, code: 'forbidden_builtin', policy_version_id: 'candidate-1' }],
    });
    expect((await api.call('GET', `${set}/activation-status`)).body).toMatchObject({ active_version_id: versions.all });
  });

  it('leaves nothing in OPA', async () => {
    const { url, token: opaToken } = opa.running();
    const policies = await request(`${url}/v1/policies`, { headers: { authorization: `Bearer ${opaToken}` } });
    const listed = (await policies.body.json()) as { result: { id: string }[] };
    expect(listed.result.filter(({ id }) => id.includes('/v_trial'))).toEqual([]);
  });
});

describe('a replay', () => {
  it('answers with the flips of everything that was recorded', async () => {
    const replayed = await post(`${set}/replay`, { version_id: versions.reads });
    expect(replayed).toMatchObject({
      status: 200,
      body: {
        ...{ decisions: 3, flipped: 2, unchanged: 1, evaluated: 2, cut: false, without_input: 0 },
        transitions: { allow_to_deny: 2 },
        groups: [
          {
            ...{ application_id: application.id, resource: identifier, scopes: ['calendar:write'], count: 2 },
            ...{ from: 'allow', to: 'deny', determining_policies: ['reads/read-only'] },
          },
        ],
      },
    });
  });

  it('tells its progress line by line, the last one with the summary', async () => {
    const headers = { accept: 'application/x-ndjson' };
    const streamed = await api.call('POST', `${set}/replay`, { headers, body: { version_id: versions.all } });
    const lines = streamed.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.at(-1)).toMatchObject({ done: true, decisions: 3, flipped: 0, summary: { decisions: 3, flipped: 0 } });
  });

  it('refuses a candidate that cannot be activated, and an empty or reversed range, in words', async () => {
    const broken = await post(`${set}/replay`, { policies: [{ content: 'package caracal.authz\n\nresult := {' }] });
    expect(broken).toMatchObject({ status: 422, body: { error: 'policy_invalid' } });
    const range = { version_id: versions.all, since: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' };
    expect((await post(`${set}/replay`, range)).status).toBe(400);
    const past = { version_id: versions.all, until: '2000-01-01T00:00:00Z' };
    expect((await post(`${set}/replay`, past)).body).toMatchObject({ decisions: 0, flipped: 0, groups: [] });
  });
});

describe('a shadow', () => {
  it('is looked at on every decision, recorded where it differs, and never enforced', async () => {
    const watched = await post(`${set}/shadow?wait=propagated`, { version_id: versions.reads });
    expect(watched).toMatchObject({
      status: 202,
      body: { activated: false, propagated: true, shadow_version_id: versions.reads },
    });
    expect(await token('calendar:write')).toBe(200);
    expect(await token('calendar:read')).toBe(200);
    const differences = async () =>
      (await api.call('GET', `${set}/shadow-differences`)).body['items'] as Record<string, unknown>[];
    await expect.poll(async () => (await differences()).length, patience).toBe(1);
    expect((await differences())[0]).toMatchObject({
      ...{ application_id: application.id, resource: identifier, scopes: ['calendar:write'] },
      ...{ enforced: 'allow', shadow: 'deny', shadow_version_id: versions.reads, version_id: versions.all },
    });
    expect((await api.call('DELETE', `${set}/shadow?wait=propagated`)).body).toMatchObject({ propagated: true });
    expect((await api.call('DELETE', `${set}/shadow`)).status).toBe(409);
  });

  it('may be broken without hurting what is enforced', async () => {
    const rows = JSON.stringify(Array.from({ length: 200 }, (_, n) => n));
    const slow = `package caracal.authz

rows := ${rows}

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []} if {
  count([1 | some a in rows; some b in rows; some c in rows; some d in rows; a + b + c == d + 9999]) == 0
  input.context
}
`;
    await post(`${set}/shadow?wait=propagated`, { version_id: await addVersion('slow', slow) });
    for (let n = 0; n < 10; n += 1) expect(await token('calendar:write')).toBe(200);
    await api.call('DELETE', `${set}/shadow?wait=propagated`);
  });
});

describe('two replicas', () => {
  it('both have an activation when it returns, and one that is held up is named', async () => {
    const [port = 0] = await findFreePorts(1);
    const first = api.installation.process('sts');
    const second = await api.installation.start('sts', { PORT: String(port), REPLICA_ID: 'second' });
    const activate = (versionId: string, wait: string) =>
      post(`${set}/activate?wait=propagated${wait}`, { version_id: versionId });
    expect((await activate(versions.reads, '')).body).toMatchObject({ propagated: true, points: 2 });
    expect(await token('calendar:write')).toBe(403);
    second.signal('SIGSTOP');
    const held = await activate(versions.all, '&timeout_ms=500');
    expect(held).toMatchObject({
      status: 504,
      body: { error: 'barrier_timeout', details: { missing: ['sts/second'] } },
    });
    // The activation stands where it has arrived.
    expect(await token('calendar:write')).toBe(200);
    expect((await api.call('GET', `${set}/activation-status`)).body).toMatchObject({
      ...{ propagated: false, points: 2, waiting: ['sts/second'] },
    });
    second.signal('SIGCONT');
    await expect
      .poll(async () => (await api.call('GET', `${set}/activation-status`)).body['propagated'], patience)
      .toBe(true);
    await second.stop();
    expect(await first.isReady()).toBe(true);
    expect((await activate(versions.all, '')).body).toMatchObject({ propagated: true, points: 1 });
  });
});

describe('a rollback', () => {
  it('enforces what was enforced before, and deactivation nothing', async () => {
    await post(`${set}/activate?wait=propagated`, { version_id: versions.reads });
    expect(await token('calendar:write')).toBe(403);
    const back = await post(`${set}/rollback?wait=propagated`);
    expect(back).toMatchObject({ status: 202, body: { version_id: versions.all, propagated: true } });
    expect(await token('calendar:write')).toBe(200);
    expect(await post(`${set}/deactivate?wait=propagated`)).toMatchObject({ status: 200, body: { propagated: true } });
    expect(await token('calendar:read')).toBe(403);
    const activations = await api.call('GET', `${zone}/audit?event_type=policy.activated&limit=2`);
    await expect
      .poll(async () => {
        const page = await api.call('GET', `${zone}/audit?event_type=policy.activated&limit=2`);
        return (page.body['items'] as { metadata: Record<string, unknown> }[]).map(({ metadata }) => metadata['verb']);
      }, patience)
      .toEqual(['deactivate', 'rollback']);
    expect(activations.status).toBe(200);
    await post(`${set}/activate?wait=propagated`, { version_id: versions.all });
  });
});

describe('while OPA is away', () => {
  const away = { status: 503, body: { error: 'policy_unavailable', details: { reason: 'policy_engine_unavailable' } } };
  const asks = (): readonly (() => Promise<Reply>)[] => [
    () => post(`${set}/activate`, { version_id: versions.reads }),
    () => post(`${set}/shadow`, { version_id: versions.reads }),
    () => post(`${set}/simulate`, { version_id: versions.reads, input: {} }),
    () => post(`${set}/replay`, { version_id: versions.reads }),
    () => post(`${zone}/policies`, { name: 'new', content: allowAll }),
  ];

  it('hanging or gone, whoever changes policy hears of it before long, and nothing has changed', async () => {
    const { pid } = opa.running();
    process.kill(pid, 'SIGSTOP');
    for (const ask of asks()) {
      const startedMs = performance.now();
      expect(await ask()).toMatchObject(away);
      // A person waits: a few looks at OPA and no more.
      expect(performance.now() - startedMs).toBeLessThan(15_000);
    }
    process.kill(pid, 'SIGKILL');
    for (const ask of asks()) expect(await ask()).toMatchObject(away);
    expect((await api.call('GET', `${set}/activation-status`)).body).toMatchObject({ active_version_id: versions.all });
  });
});
