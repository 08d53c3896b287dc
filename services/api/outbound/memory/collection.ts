// The Collection in memory, for tests of flows: the same promises on an array.
import { fail } from '#mesh/failure';
import type { Collection, Fresh, Page, PageQuery, Patch } from '../../ports/collection.ts';

interface Listed {
  readonly id: string;
  readonly createdAt: string;
}

type Stored = Record<string, unknown> & { id: string; createdAt: string };

export interface MemoryTable {
  readonly rows: Stored[];
}

export interface MemoryShape {
  /** Fields no two live rows may share. */
  readonly unique: readonly string[];
  /** Fields that are written and never read. */
  readonly hidden?: readonly string[] | undefined;
  readonly versioned: boolean;
  readonly now: () => string;
}

export function createMemoryCollection<T extends Listed, Hidden extends object = object>(
  table: MemoryTable,
  { unique, hidden = [], versioned, now }: MemoryShape,
): Collection<T, Hidden> {
  const live = (): Stored[] => table.rows.filter((row) => row['archivedAt'] === undefined);
  const find = (id: string): Stored | undefined => live().find((row) => row.id === id);
  const taken = (row: object, id: string): string | undefined =>
    unique.find((field) =>
      live().some((other) => other.id !== id && other[field] === (row as Record<string, unknown>)[field]),
    );
  const shown = (row: Stored): T =>
    Object.fromEntries(Object.entries(row).filter(([field]) => !hidden.includes(field))) as unknown as T;
  const add = (row: Fresh<T> & Hidden): T => {
    const at = now();
    const counted = versioned ? { version: 1, updatedAt: at } : {};
    const stored = { ...row, createdAt: at, ...counted } as unknown as Stored;
    table.rows.push(stored);
    return shown(stored);
  };
  const change = (id: string, patch: object): T => {
    const row = find(id);
    if (row === undefined) throw fail('not_found');
    for (const [field, value] of Object.entries(patch)) {
      if (value !== undefined) row[field] = value === null ? undefined : value;
    }
    if (versioned) Object.assign(row, { version: Number(row['version']) + 1, updatedAt: now() });
    return shown(row);
  };
  const one = async (id: string): Promise<T | undefined> => {
    const row = find(id);
    return row === undefined ? undefined : shown(row);
  };
  return {
    insert: async (row) => {
      const path = taken(row, String((row as { id?: unknown }).id));
      if (path !== undefined) throw fail('conflict', { fields: [{ path, rule: 'unique' }] });
      return add(row);
    },
    insertIfFree: async (row) => {
      const path = taken(row, '');
      if (path === 'slug') return undefined;
      if (path !== undefined) throw fail('conflict', { fields: [{ path, rule: 'unique' }] });
      return add(row);
    },
    find: one,
    hold: one,
    lock: one,
    update: async (id, patch: Patch<T> & Partial<Hidden>) => change(id, patch),
    archive: async (id) => change(id, { archivedAt: now() }),
    page: async (query: PageQuery, filter: Partial<T> = {}): Promise<Page<T>> => {
      const wanted = live()
        .filter((row) => Object.entries(filter).every(([field, value]) => row[field] === value))
        .toReversed();
      const from = query.cursor === undefined ? 0 : wanted.findIndex((row) => row.id === query.cursor) + 1;
      const items = wanted.slice(from, from + query.limit);
      const more = wanted.length > from + query.limit;
      return { items: items.map(shown), nextCursor: more ? items.at(-1)?.id : undefined };
    },
  };
}
