// Zone keys in memory, for tests of flows. Time stands still here, so a key's state is what the last rotation made of it.
import type { JsonObject } from '#mesh/failure';
import type { ZoneKey } from '../../domain/zone-key.ts';
import type { ZoneKeyRow, ZoneKeys } from '../../ports/zone-keys.ts';
import { createMemoryCollection, type MemoryTable } from './collection.ts';

interface World {
  readonly tables: { readonly zoneKeys: MemoryTable };
  numbers: number;
}

interface Telling {
  readonly now: () => string;
  readonly tell: (kind: string, what: object) => void;
}

export function createMemoryZoneKeys(
  world: World,
  { now, tell }: Telling,
): ZoneKeys & { install(key: ZoneKeyRow): Promise<void> } {
  const table = world.tables.zoneKeys;
  const rows = createMemoryCollection<ZoneKey>(table, { unique: [], versioned: false, now });
  const add = async ({ keyId, publicJwkJson }: ZoneKeyRow, state: ZoneKey['state']): Promise<void> => {
    const publicJwk = JSON.parse(publicJwkJson) as Record<string, string>;
    await rows.insert({ id: keyId, version: table.rows.length + 1, state, publicJwk, signsFrom: now() });
    tell('key', { keyId } satisfies JsonObject);
  };
  const position = () => ({
    stream: 'caracal.keys.invalidate' as const,
    incarnation: 'memory',
    number: table.rows.length,
  });
  return {
    find: (id) => rows.find(id),
    page: (query) => rows.page(query),
    install: (key) => add(key, 'signing'),
    lock: async () => ({
      live: table.rows.filter((row) => row['state'] !== 'retired').length,
      newest: table.rows.length,
    }),
    rotate: async (key) => {
      await add(key, 'published');
      return position();
    },
    replace: async (key, reason) => {
      const ended = table.rows.filter((row) => row['state'] !== 'retired');
      for (const row of ended) row['state'] = 'retired';
      await add(key, 'signing');
      world.numbers += ended.length;
      const retired = ended.map(({ id }) => id);
      tell('revoke', { anchors: retired.map((id) => ({ kind: 'zone_key', id })), reason });
      return { position: position(), revocationNumber: world.numbers, retired };
    },
  };
}
