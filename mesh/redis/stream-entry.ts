// Reads the nested lists in which Redis answers stream commands. It stands alone so that readers and consumers see
// entries and never reply shapes.
import type { StreamName } from '#mesh/topology';
import type { StreamFields } from './stream-signer.ts';

export interface StreamEntry {
  readonly stream: StreamName;
  /** Redis' id, `<milliseconds>-<count>`. */
  readonly id: string;
  readonly fields: StreamFields;
}

/** Smaller than every id that Redis gives. */
export const FIRST_ID = '0-0';

// A field list of odd length or a deleted entry (null, or no fields) reads as no fields: no signature, so never acted on.
function readFields(list: unknown): StreamFields {
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  if (!Array.isArray(list)) return fields;
  for (let index = 0; index + 1 < list.length; index += 2) fields[String(list[index])] = String(list[index + 1]);
  return fields;
}

/** Entries of one stream, as in the reply of XRANGE, XAUTOCLAIM and, per stream, XREAD. */
export function readEntries(stream: StreamName, list: unknown): readonly StreamEntry[] {
  if (!Array.isArray(list)) return [];
  const entries: StreamEntry[] = [];
  for (const item of list as readonly unknown[]) {
    if (Array.isArray(item)) entries.push({ stream, id: String(item[0]), fields: readFields(item[1]) });
  }
  return entries;
}

/** The list of each stream in a reply of XREAD or XREADGROUP, by key. */
export function readStreamLists(reply: unknown): ReadonlyMap<string, unknown> {
  const lists = new Map<string, unknown>();
  if (!Array.isArray(reply)) return lists;
  for (const item of reply as readonly unknown[]) {
    if (Array.isArray(item)) lists.set(String(item[0]), item[1]);
  }
  return lists;
}

/** Negative, zero or positive as the first id is before, at or after the second. */
export function compareIds(first: string, second: string): number {
  const [firstMs = '0', firstCount = '0'] = first.split('-');
  const [secondMs = '0', secondCount = '0'] = second.split('-');
  const difference = BigInt(firstMs) - BigInt(secondMs) || BigInt(firstCount) - BigInt(secondCount);
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
}
