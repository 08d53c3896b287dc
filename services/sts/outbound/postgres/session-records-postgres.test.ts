import { describe, expect, it } from 'vitest';
import { fail } from '#mesh/failure';
import { newId } from '#mesh/ids';
import type { ZoneTransaction } from '#mesh/postgres';
import { createSessionRecordsPostgres } from './session-records-postgres.ts';
import type { ZoneShares } from './zone-shares.ts';

interface Row {
  readonly id: string;
  readonly application_id: string;
}

/** A database that takes records until `refuse` says otherwise, one transaction when it is let. */
function database(refuse: (row: Row) => Error | undefined = () => undefined) {
  const batches: number[] = [];
  const gates: (() => void)[] = [];
  const shares: ZoneShares = {
    async inZone(zoneId, work) {
      await new Promise<void>((resolve) => gates.push(resolve));
      const query = async (_text: string, values?: readonly unknown[]): Promise<object[]> => {
        const rows = JSON.parse(String(values?.[1])) as Row[];
        batches.push(rows.length);
        for (const row of rows) {
          const error = refuse(row);
          if (error) throw error;
        }
        return rows.map(({ id }) => ({ id, root_id: `root of ${id}` }));
      };
      return work({ zoneId, query } as unknown as ZoneTransaction);
    },
  };
  const openAll = async (): Promise<void> => {
    for (let rest = 0; rest < 20; rest += 1) {
      for (const open of gates.splice(0)) open();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { shares, batches, openAll };
}

const record = (zoneId: string, applicationId = 'app') => ({
  id: newId(),
  zoneId,
  parentId: undefined,
  applicationId,
  subject: 's',
  subjectType: 'application' as const,
  agentSessionId: undefined,
  expiresAtMs: 1_800_000_000_000,
});

describe('session records', () => {
  it('go together when they stand together, and each learns its own root', async () => {
    const { shares, batches, openAll } = database();
    const records = createSessionRecordsPostgres(shares);
    const zone = newId();
    const all = Array.from({ length: 10 }, () => record(zone));
    const inserting = Promise.all(all.map(async (one) => records.insert(one)));
    await openAll();
    expect((await inserting).map(({ rootSid }) => rootSid)).toEqual(all.map(({ id }) => `root of ${id}`));
    expect(batches).toEqual([1, 9]);
  });

  it('of two zones never share a transaction', async () => {
    const { shares, batches, openAll } = database();
    const records = createSessionRecordsPostgres(shares);
    const zones = [newId(), newId()];
    const inserting = Promise.all(zones.map(async (zone) => records.insert(record(zone))));
    await openAll();
    await inserting;
    expect(batches).toEqual([1, 1]);
  });

  it('do not fail with one that cannot be written', async () => {
    const { shares, openAll } = database(({ application_id: id }) => (id === 'bad' ? new Error('check') : undefined));
    const records = createSessionRecordsPostgres(shares);
    const zone = newId();
    const inserting = Promise.allSettled(
      ['app', 'app', 'bad', 'app'].map(async (id) => records.insert(record(zone, id))),
    );
    await openAll();
    expect((await inserting).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });

  it('all fail at once while the store is away', async () => {
    const { shares, batches, openAll } = database(() => fail('store_unavailable'));
    const records = createSessionRecordsPostgres(shares);
    const zone = newId();
    const inserting = Promise.allSettled(Array.from({ length: 5 }, async () => records.insert(record(zone))));
    await openAll();
    expect((await inserting).every(({ status }) => status === 'rejected')).toBe(true);
    expect(batches).toEqual([1, 4]);
  });
});
