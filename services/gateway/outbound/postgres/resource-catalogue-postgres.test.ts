import { expect, it } from 'vitest';
import type { Database } from '#mesh/postgres';
import type { GatewayMetrics } from '../../metrics.ts';
import { createResourceCatalogue } from './resource-catalogue-postgres.ts';

it('a zone that asks for names nobody knows leaves the next read to others too', async () => {
  const reads: (() => void)[] = [];
  const database = {
    acrossZones: async () => {
      await new Promise<void>((resolve) => reads.push(resolve));
      return [];
    },
  } as unknown as Database;
  const metrics = { catalogueReads: { inc: () => undefined } } as unknown as GatewayMetrics;
  const catalogue = createResourceCatalogue(database, metrics);
  const first = catalogue.refreshFor('flood', 'first', 'flood-id');
  await expect.poll(() => reads.length).toBe(1);
  const flood = Array.from({ length: 300 }, (_, count) =>
    catalogue.refreshFor(`flood-${count}`, `name-${count}`, 'flood-id'),
  );
  const settled = Promise.allSettled(flood);
  const other = catalogue.refreshFor('other', 'name', 'other-id');
  reads.shift()?.();
  await expect.poll(() => reads.length).toBe(1);
  reads.shift()?.();
  await Promise.all([first, other]);
  expect((await settled).filter(({ status }) => status === 'rejected')).toHaveLength(300 - 32);
});
