// The rows of data.md's outage table where OPA, the STS or Audit is away.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { mandateOf } from '../../bench/proofs/governed-zone.ts';
import { eventually, reasonOf, startOutageBed, type OutageBed, type Session } from './outage-bed.ts';

let bed: OutageBed;
let session: Session;
let zonePath: string;

beforeAll(async () => {
  bed = await startOutageBed();
  zonePath = `/zones/${bed.zone.facts.zoneId}`;
});

afterAll(async () => bed[Symbol.asyncDispose]());

const refusalOf = async (method: 'GET' | 'POST', path: string, json?: unknown): Promise<string> => {
  const { status, reason } = await bed.zone.admin(method, path, json);
  return `${status} ${reason}`;
};
const count = async (path: string): Promise<number> => {
  const { body } = await bed.zone.admin('GET', `${path}?limit=200`);
  return Object.values(body).find((value) => Array.isArray(value))?.length ?? -1;
};

describe.each([
  { away: 'gone', take: async () => bed.installation.part('opa').kill() },
  { away: 'paused', take: async () => bed.installation.part('opa').signal('SIGSTOP') },
])('OPA $away', ({ away, take }) => {
  const known = { path: '/reports/known' };
  let one: string;
  let other: string;
  let set: { id: string; versionId: string };

  beforeAll(async () => {
    set = await makePolicySet();
    session = await bed.startSession();
    await bed.call(bed.mandate, known);
    const first = await bed.mintForOneCall();
    await bed.call(first, { ...known, kind: 'single_use' });
    [one, other] = [await bed.mintForOneCall(), await bed.mintForOneCall()];
    await bed.exchange({ resource: bed.zone.facts.resource, scope: 'reports:read' });
    await take();
  });

  it('Gateway, ambient: what was decided before, else denied as policy_unavailable', async () => {
    expect(await bed.call(bed.mandate, known)).toMatchObject({ status: 200 });
    const refused = await bed.call(bed.mandate, { path: bed.newPath() });
    expect(refused).toMatchObject({ status: 403, reason: 'policy_unavailable' });
  });

  it('Gateway, per_call: the same', async () => {
    expect(await bed.call(one, { ...known, kind: 'single_use' })).toMatchObject({ status: 200 });
    const refused = await bed.call(other, { path: bed.newPath(), kind: 'single_use' });
    expect(refused).toMatchObject({ status: 403, reason: 'policy_unavailable' });
  });

  it('token endpoint: the same', async () => {
    const { resource } = bed.zone.facts;
    expect(await bed.exchange({ resource, scope: 'reports:read' })).toMatchObject({ status: 200 });
    expect(await bed.exchangeForOneCall()).toMatchObject({ status: 200 });
    const refused = await bed.exchange({ resource, scope: 'reports:write reports:delete' });
    expect(refused).toMatchObject({ status: 403, reason: 'policy_unavailable' });
  });

  it(`control-plane write: ${away === 'gone' ? 'activation 503, the rest works' : 'works'}`, async () => {
    if (away === 'gone') expect(await activate(set)).toBe('503 policy_engine_unavailable');
    const zone = await refusalOf('POST', '/zones', { name: `Without OPA ${away}` });
    expect(zone).toBe('201 served');
    const application = { name: 'made', registration_method: 'managed', credential_type: 'token' };
    expect(await refusalOf('POST', `${zonePath}/applications`, application)).toBe('201 served');
    await bed.startSession({ withMandate: false });
  });

  it('revoke: works, with its barrier', async () => {
    expect(await bed.endSession(session)).toBe(true);
    const refused = await bed.call(session.mandate, { kind: 'session' });
    expect(refused).toMatchObject({ status: 401, reason: 'token_revoked' });
  });

  it('everything works again once OPA, which has forgotten every policy, is back', async () => {
    const opa = bed.installation.part('opa');
    if (away === 'paused') opa.signal('SIGCONT');
    else await opa.start();
    await bed.recovered();
    await expect(bed.settled()).resolves.toBeUndefined();
  }, 120_000);
});

const activate = async ({ id, versionId }: { id: string; versionId: string }): Promise<string> =>
  refusalOf('POST', `${zonePath}/policy-sets/${id}/activate`, { version_id: versionId });

/** A set whose version would change nothing, ready to be activated. */
async function makePolicySet(): Promise<{ id: string; versionId: string }> {
  const content = [
    'package caracal.authz',
    'result := {"decision": "abstain", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}',
  ].join('\n\n');
  const name = newId();
  const policy = await bed.zone.admin('POST', `${zonePath}/policies`, { name, content });
  const version = policy.body['version'] as { id: string };
  const made = await bed.zone.admin('POST', `${zonePath}/policy-sets`, { name });
  const id = String(made.body['id']);
  const manifest = [{ policy_version_id: version.id }];
  const madeVersion = await bed.zone.admin('POST', `${zonePath}/policy-sets/${id}/versions`, { manifest });
  return { id, versionId: String(madeVersion.body['id']) };
}

describe('STS away', () => {
  const warm = { path: '/reports/warm' };
  let oneCall: string;
  let later: Session;

  beforeAll(async () => {
    session = await bed.startSession();
    later = await bed.startSession();
    oneCall = await bed.mintForOneCall();
    for (const { mandate } of [bed, session]) {
      await bed.call(mandate, { ...warm, kind: 'session' });
      await bed.call(mandate, { ...warm, kind: 'session' });
    }
    await bed.installation.part('sts').kill();
  });

  it('Gateway, ambient: a verdict that may be given again serves, anything else is 503 sts_unavailable', async () => {
    expect(await bed.call(bed.mandate, warm)).toMatchObject({ status: 200 });
    const refused = await bed.call(bed.mandate, { path: bed.newPath() });
    expect(refused).toMatchObject({ status: 503, reason: 'sts_unavailable' });
  });

  it('revoke: commits at once, and the Gateway learns it by reading the database', async () => {
    await bed.endSession(session, { waitApplied: false });
    await eventually('refusal of what a verdict would still allow', async () => {
      const { reason } = await bed.call(session.mandate, { ...warm, kind: 'session' });
      return reason === 'token_revoked';
    });
    const { status } = await bed.call(session.mandate, { ...warm, kind: 'session' });
    expect(status).toBe(401);
  });

  it('revoke, waiting: an STS that was killed is missed until another gives it up, and the end stands', async () => {
    expect(await reasonOf(bed.endSession(later, { timeoutMs: 1500 }))).toBe('barrier_timeout');
    const { zoneId } = bed.zone.facts;
    const read = await bed.zone.admin('GET', `/zones/${zoneId}/agent-sessions/${later.id}`);
    expect(JSON.stringify(read.body)).toMatch(/terminated/);
  });

  it('Gateway, per_call: 503 sts_unavailable, and the mandate is not spent', async () => {
    const refused = await bed.call(oneCall, { kind: 'single_use' });
    expect(refused).toMatchObject({ status: 503, reason: 'sts_unavailable' });
  });

  it('control-plane write: works, except what needs sealing or minting, which leaves nothing', async () => {
    const before = { zones: await count('/zones'), providers: await count(`${zonePath}/providers`) };
    expect(await refusalOf('POST', '/zones', { name: 'Without STS' })).toBe('503 sts_unavailable');
    const secret = { identifier: newId(), name: 'sealed', kind: 'bearer_token', secrets: { token: 'x'.repeat(32) } };
    expect(await refusalOf('POST', `${zonePath}/providers`, secret)).toMatch(/^503 sts_unavailable/);
    expect({ zones: await count('/zones'), providers: await count(`${zonePath}/providers`) }).toEqual(before);
    const plain = { identifier: newId(), name: 'plain', kind: 'none', config: {} };
    expect(await refusalOf('POST', `${zonePath}/providers`, plain)).toBe('201 served');
    await bed.startSession({ withMandate: false });
    expect(await reasonOf(bed.startSession({ withMandate: true }))).toBe('sts_unavailable');
  });

  it('Gateway, ambient: the reusable verdict ends with its time', async () => {
    const ended = eventually('the end of the verdict', async () => {
      return (await bed.call(bed.mandate, warm)).reason === 'sts_unavailable';
    });
    await expect(ended).resolves.toBeUndefined();
  });

  it('everything works again, the mandate that was not spent too, and the barrier gives up the killed STS', async () => {
    await bed.installation.part('sts').start();
    await bed.recovered();
    expect(await bed.call(oneCall, { kind: 'single_use' })).toMatchObject({ status: 200 });
    await bed.settled();
  }, 120_000);
});

describe('Audit away', () => {
  let redis: Redis;
  let lastInLedger: string;
  const streamLength = async (): Promise<number> => redis.xlen('caracal.audit.events');

  beforeAll(async () => {
    redis = new Redis(bed.installation.stack.addresses.redisUrl);
    session = await bed.startSession();
    await bed.installation.part('audit').kill();
  });

  afterAll(() => redis.disconnect());

  it('Gateway and token endpoint: serve', async () => {
    expect(await bed.call(bed.mandate)).toMatchObject({ status: 200 });
    expect(await bed.call(await bed.mintForOneCall(), { kind: 'single_use' })).toMatchObject({ status: 200 });
    const { resource } = bed.zone.facts;
    expect(await bed.exchange({ resource, scope: 'reports:read' })).toMatchObject({ status: 200 });
  });

  it('control-plane write and revoke: serve', async () => {
    expect(await refusalOf('POST', '/zones', { name: 'Without Audit' })).toBe('201 served');
    expect(await bed.endSession(session)).toBe(true);
  });

  it('ledger: above the high-water mark of Redis the journal serves alone', async () => {
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
    // The mark is 70 % of maxmemory.
    await redis.config('SET', 'maxmemory', String(Math.floor(used * 1.2)));
    await eventually('the journal alone', async () => {
      const before = await streamLength();
      const served = await bed.call(bed.mandate, { path: bed.newPath() });
      expect(served).toMatchObject({ status: 200 });
      lastInLedger = served.requestId;
      return (await streamLength()) === before;
    });
  });

  it('ledger: with the journal full too, 503 audit_unavailable, and nothing reaches the upstream', async () => {
    const fill = async (): Promise<boolean> => {
      const asked = Array.from({ length: 20 }, async () => bed.call(bed.mandate, { path: bed.newPath() }));
      return (await Promise.all(asked)).some(({ reason }) => reason === 'audit_unavailable');
    };
    await eventually('a full journal', fill);
    const arrived = bed.zone.upstream.seen.size;
    await eventually('nothing but refusals', async () => {
      const { reason } = await bed.call(bed.mandate, { path: bed.newPath() });
      return reason === 'audit_unavailable';
    });
    expect(bed.zone.upstream.seen.size).toBe(arrived);
  }, 120_000);

  it('ledger: everything is there once Audit and the room in Redis are back', async () => {
    await redis.config('SET', 'maxmemory', '0');
    await bed.installation.part('audit').start();
    await bed.recovered();
    await expect(bed.settled()).resolves.toBeUndefined();
    const { audit, facts } = bed.zone;
    const { entries } = await audit.getTrace({ zoneId: facts.zoneId, requestId: lastInLedger });
    const types = entries.map(({ event }) => event?.eventType);
    expect(new Set(types)).toEqual(new Set(['gateway.decision', 'gateway.outcome']));
    expect(mandateOf(await bed.exchange({ resource: facts.resource, scope: 'reports:read' }))).not.toBe('');
  }, 120_000);
});
