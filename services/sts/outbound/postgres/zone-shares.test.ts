import { expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import { newId, type ZoneId } from '#mesh/ids';
import type { Database, ZoneTransaction } from '#mesh/postgres';
import { createZoneReader } from './zone-reader.ts';
import { shareByZone } from './zone-shares.ts';

/** A database on which everything about some zones hangs. */
function databaseThatHangs() {
  const hanging = new Set<string>();
  const asked: string[] = [];
  const tx = { one: async () => undefined, query: async () => [] } as unknown as ZoneTransaction;
  const inZone: Database['inZone'] = async (zoneId, work) => {
    asked.push(zoneId);
    if (hanging.has(zoneId)) await new Promise(() => undefined);
    return await work(tx);
  };
  return { database: { inZone }, hanging, asked };
}

it('a zone that keeps the database busy leaves connections to the others, and its line has an end', async () => {
  const { database, hanging, asked } = databaseThatHangs();
  const reader = createZoneReader(shareByZone(database, 4));
  const [flood, other] = [newId() as ZoneId, newId() as ZoneId];
  hanging.add(flood);
  const refused: unknown[] = [];
  for (let count = 0; count < 600; count += 1) {
    reader.resource(flood, `r${count}`).catch((error: unknown) => refused.push(error));
  }
  expect(await reader.resource(other, 'r')).toBeUndefined();
  expect(asked.filter((zoneId) => zoneId === flood)).toHaveLength(3);
  expect(refused.length).toBe(600 - 3 - 512);
  expect(refused.every((error) => error instanceof Failure && error.reason === 'store_unavailable')).toBe(true);
});

it('zones that are only claimed share one line, however many are invented', async () => {
  const { database, hanging, asked } = databaseThatHangs();
  const reader = createZoneReader(shareByZone(database, 4));
  for (let count = 0; count < 100; count += 1) {
    const invented = newId();
    hanging.add(invented);
    void reader.zone(invented);
  }
  await Promise.resolve();
  expect(asked).toHaveLength(3);
  expect(await reader.resource(newId(), 'r')).toBeUndefined();
});
