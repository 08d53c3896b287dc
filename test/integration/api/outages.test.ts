// What the control plane does while a part is away: refuses in words, leaves nothing half done, and goes on by itself.
import { describe, expect, test } from 'vitest';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

const post = (api: ApiInstallation, path: string, body: unknown): Promise<Reply> => api.call('POST', path, { body });

describe('while the STS is away', () => {
  test('nothing that needs it is made, and nothing is left behind', async () => {
    await using api = await startApi({ services: ['sts', 'api'] });
    const zone = `/v1/zones/${await api.zone()}`;
    const policy = await post(api, `${zone}/policies`, { name: 'p', content: allowAll });
    const set = `${zone}/policy-sets/${textOf(await post(api, `${zone}/policy-sets`, { name: 's' }), 'id')}`;
    const manifest = [{ policy_version_id: (policy.body['version'] as { id: string }).id }];
    const version = textOf(await post(api, `${set}/versions`, { manifest }), 'id');
    const count = async () =>
      await api.sql(
        `SELECT (SELECT count(*) FROM api.zones) AS zones, (SELECT count(*) FROM api.providers) AS providers,
                (SELECT count(*) FROM api.policy_versions) AS versions, (SELECT count(*) FROM sts.zone_keys) AS keys,
                (SELECT count(*) FROM api.outbox) AS told, (SELECT count(*) FROM api.idempotency_receipts) AS receipts,
                (SELECT count(*) FROM api.policy_set_versions WHERE active) AS active`,
      );
    const before = await count();
    await api.installation.process('sts').stop();

    const key = { 'idempotency-key': 'later' };
    const away = { status: 503, body: { error: 'sts_unavailable' } };
    expect(await api.call('POST', '/v1/zones', { body: { name: 'Later' }, headers: key })).toMatchObject(away);
    const provider = { identifier: 'p', kind: 'bearer_token', secrets: { token: 'x' } };
    expect(await post(api, `${zone}/providers`, provider)).toMatchObject(away);
    expect(await post(api, `${zone}/policies`, { name: 'q', content: allowAll })).toMatchObject(away);
    expect(await post(api, `${set}/activate`, { version_id: version })).toMatchObject(away);
    expect(await api.call('GET', `${set}/activation-status`)).toMatchObject(away);
    expect(await count()).toEqual(before);
    expect((await post(api, `${zone}/applications`, { name: 'a' })).status).toBe(201);
    expect((await post(api, `${zone}/revocations`, { anchors: [{ kind: 'jti', id: 'x' }] })).status).toBe(201);

    await api.installation.start('sts');
    expect((await api.call('POST', '/v1/zones', { body: { name: 'Later' }, headers: key })).status).toBe(201);
    expect((await post(api, `${set}/activate`, { version_id: version })).status).toBe(202);
  });
});

describe('while Audit and Coordinator are away', () => {
  test('their routes say so and everything else works', async () => {
    await using api = await startApi({ services: ['sts', 'api'] });
    const zone = `/v1/zones/${await api.zone()}`;
    for (const path of ['audit', 'audit/by-request/x', 'audit/verify'])
      expect(await api.call('GET', `${zone}/${path}`), path).toMatchObject({
        status: 503,
        body: { error: 'audit_unavailable' },
      });
    for (const [method, path] of [
      ['GET', 'agent-sessions'],
      ['GET', 'agent-sessions/x'],
      ['POST', 'agent-sessions/x/end'],
    ] as const)
      expect(await api.call(method, `${zone}/${path}`), path).toMatchObject({
        status: 503,
        body: { error: 'coordinator_unavailable' },
      });
    expect((await post(api, `${zone}/applications`, { name: 'a' })).status).toBe(201);
    expect((await api.call('GET', '/ready', { token: '' })).status).toBe(200);
  });
});

describe('while Redis is away', () => {
  test('changes commit, and what they tell arrives afterwards', async () => {
    await using api = await startApi({ services: ['sts', 'audit', 'api'] });
    const zone = `/v1/zones/${await api.zone()}`;
    await api.installation.redis.running().stop();
    const made = await api.call('POST', `${zone}/applications`, {
      body: { name: 'a' },
      headers: { 'x-request-id': 'while-away' },
    });
    expect(made.status).toBe(201);
    await api.installation.redis.restart();
    let found = 0;
    for (let tries = 0; tries < 600 && found !== 200; tries += 1) {
      found = (await api.call('GET', `${zone}/audit/by-request/while-away`)).status;
      if (found !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(found).toBe(200);
  });
});

describe('a process that is killed', () => {
  test('leaves each change whole or not at all', async () => {
    await using api = await startApi({ services: ['sts', 'api'] });
    const zone = `/v1/zones/${await api.zone()}`;
    const calls = Array.from({ length: 40 }, (_, at) =>
      post(api, `${zone}/policy-sets`, { name: `s${at}` }).catch(() => undefined),
    );
    await Promise.race(calls);
    api.installation.process('api').signal('SIGKILL');
    const answered = (await Promise.all(calls)).filter((reply) => reply?.status === 201).length;
    await api.installation.process('api').exited;
    const [row] = await api.sql<{ sets: string; told: string }>(
      `SELECT (SELECT count(*) FROM api.policy_sets) AS sets,
              (SELECT count(*) FROM api.outbox
               WHERE payload -> 'metadata' ->> 'action' = 'policy_set.create') AS told`,
    );
    expect(row?.sets).toBe(row?.told);
    expect(Number(row?.sets)).toBeGreaterThanOrEqual(answered);
    await api.installation.start('api');
    expect((await api.call('GET', `${zone}/policy-sets?limit=500`)).body['items']).toHaveLength(Number(row?.sets));
  });
});
