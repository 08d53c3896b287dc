// The rows of data.md's outage table where a store is away: Redis, Postgres, both.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, reasonOf, startOutageBed, type OutageBed, type Session } from './outage-bed.ts';

let bed: OutageBed;
let oneCall: string;
let session: Session;

beforeAll(async () => {
  bed = await startOutageBed();
});

afterAll(async () => bed[Symbol.asyncDispose]());

/** Everything that a row needs while nothing can be made any more. */
async function prepare(): Promise<void> {
  oneCall = await bed.mintForOneCall();
  session = await bed.startSession();
  await bed.call(bed.mandate);
  await bed.call(session.mandate, { kind: 'session' });
}

const createZone = async (): Promise<string> => {
  const { status, reason } = await bed.zone.admin('POST', '/zones', { name: 'Made during an outage' });
  return status === 201 ? 'created' : `${status} ${reason}`;
};

describe.each([
  { away: 'gone', take: async () => void (await bed.installation.part('redis').stop()) },
  { away: 'paused', take: async () => bed.installation.part('redis').signal('SIGSTOP') },
])('Redis $away', ({ away, take }) => {
  let lastInLedger: string;

  beforeAll(async () => {
    await prepare();
    await take();
  });

  it('Gateway, ambient: serves', async () => {
    expect(await bed.call(bed.mandate)).toMatchObject({ status: 200 });
    const fresh = await bed.call(bed.mandate, { path: bed.newPath() });
    expect(fresh).toMatchObject({ status: 200 });
    lastInLedger = fresh.requestId;
  });

  it('Gateway, per_call: 503 replay_store_unavailable', async () => {
    const refused = await bed.call(oneCall, { kind: 'single_use' });
    expect(refused).toMatchObject({ status: 503, reason: 'replay_store_unavailable' });
  });

  it('token endpoint: served, this being dev', async () => {
    const { resource } = bed.zone.facts;
    expect(await bed.exchange({ resource, scope: 'reports:read' })).toMatchObject({ status: 200 });
    expect(await bed.exchangeForOneCall()).toMatchObject({ status: 200 });
  });

  it('control-plane write: commits', async () => {
    expect(await createZone()).toBe('created');
    await bed.startSession();
  });

  it('revoke: commits, and the barrier works', async () => {
    expect(await bed.endSession(session)).toBe(true);
    const refused = await bed.call(session.mandate, { kind: 'session' });
    expect(refused).toMatchObject({ status: 401, reason: 'token_revoked' });
  });

  it('serves beyond the staleness limit, by reading the database', async () => {
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect(await bed.call(bed.mandate, { path: bed.newPath() })).toMatchObject({ status: 200 });
  });

  it('ledger: paused, and catches up', async () => {
    const { audit, facts } = bed.zone;
    const trace = await audit.getTrace({ zoneId: facts.zoneId, requestId: lastInLedger });
    expect(trace.entries).toEqual([]);
    const redis = bed.installation.part('redis');
    if (away === 'paused') redis.signal('SIGCONT');
    else await redis.start();
    await bed.recovered();
    // Refused because Redis may have lost what it knew, or because the paused one has counted it in the end.
    expect(await bed.call(oneCall, { kind: 'single_use' })).toMatchObject({ status: 401, reason: 'token_replayed' });
    await bed.settled();
  }, 120_000);
});

describe.each([
  { away: 'gone', take: async () => void (await bed.installation.part('postgres').stop()) },
  { away: 'killed', take: async () => bed.installation.part('postgres').kill() },
])('Postgres $away', ({ take }) => {
  beforeAll(async () => {
    await prepare();
    await take();
  });

  it('Gateway and token endpoint: warm calls of both classes are served until the staleness limit', async () => {
    const [ambient, perCall, forOneCall, exchange] = await Promise.all([
      bed.call(bed.mandate),
      bed.call(oneCall, { kind: 'single_use' }),
      bed.exchangeForOneCall(),
      bed.exchange({ resource: bed.zone.facts.resource, scope: 'reports:read' }),
    ]);
    expect(ambient).toMatchObject({ status: 200 });
    expect(perCall).toMatchObject({ status: 200 });
    expect(forOneCall).toMatchObject({ status: 200 });
    expect(exchange).toMatchObject({ status: 503, reason: 'store_unavailable' });
  });

  it('Gateway and token endpoint: then 503 revocation_stale, and nothing reaches the upstream', async () => {
    await eventually('staleness', async () => (await bed.call(bed.mandate)).reason === 'revocation_stale');
    const arrived = bed.zone.upstream.seen.size;
    expect(await bed.call(bed.mandate)).toMatchObject({ status: 503, reason: 'revocation_stale' });
    await eventually('staleness', async () => (await bed.exchangeForOneCall()).reason === 'revocation_stale');
    expect(bed.zone.upstream.seen.size).toBe(arrived);
  });

  it('control-plane write and revoke: 503', async () => {
    expect(await createZone()).toBe('503 store_unavailable');
    expect(await reasonOf(bed.startSession())).toBe('store_unavailable');
    expect(await reasonOf(bed.endSession(session))).toBe('store_unavailable');
  });

  it('ledger: the stream holds, and the ledger has everything afterwards', async () => {
    await bed.installation.part('postgres').start();
    await bed.recovered();
    await expect(bed.settled()).resolves.toBeUndefined();
  }, 120_000);
});

describe('Redis and Postgres away', () => {
  beforeAll(async () => {
    await prepare();
    await Promise.all([bed.installation.part('redis').kill(), bed.installation.part('postgres').kill()]);
  });

  it('Gateway and token endpoint: 503 once what they know is stale, single use at once', async () => {
    expect(await bed.call(oneCall, { kind: 'single_use' })).toMatchObject({ status: 503 });
    await eventually('staleness', async () => (await bed.call(bed.mandate)).reason === 'revocation_stale');
    await eventually('staleness', async () => (await bed.exchangeForOneCall()).reason === 'revocation_stale');
  });

  it('control-plane write and revoke: 503', async () => {
    expect(await createZone()).toBe('503 store_unavailable');
    expect(await reasonOf(bed.startSession())).toBe('store_unavailable');
    expect(await reasonOf(bed.endSession(session))).toBe('store_unavailable');
  });

  it('everything comes back, and what was decided meanwhile is in the ledger', async () => {
    await Promise.all([bed.installation.part('redis').start(), bed.installation.part('postgres').start()]);
    await bed.recovered();
    await expect(bed.settled()).resolves.toBeUndefined();
  }, 120_000);
});
