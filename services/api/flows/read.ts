// Reading one thing or a page of things of a zone; all aggregates are read alike.
import type { Collection, Page, PageQuery } from '../ports/collection.ts';
import type { ControlReads } from '../ports/control-store.ts';
import type { ApiDeps } from '../ports/deps.ts';
import { type ZoneCall, found } from './admin-call.ts';

type Rows<T> = (tx: ControlReads) => Pick<Collection<T>, 'find' | 'page'>;

/** @throws not_found (zone, thing), store_unavailable. */
export async function readOne<T>(
  deps: ApiDeps,
  call: ZoneCall,
  { id, name, rows }: { id: string; name: string; rows: Rows<T> },
): Promise<T> {
  return found(await deps.store.read(call.zoneId, (tx) => rows(tx).find(id)), name);
}

/** Newest first. @throws not_found (zone), invalid_request (cursor), store_unavailable. */
export async function readPage<T>(
  deps: ApiDeps,
  call: ZoneCall,
  { query, rows, filter }: { query: PageQuery; rows: Rows<T>; filter?: Partial<T> },
): Promise<Page<T>> {
  return deps.store.read(call.zoneId, (tx) => rows(tx).page(query, filter));
}
