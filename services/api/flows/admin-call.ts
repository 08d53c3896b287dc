// The call behind a flow: who asks, for which request, and under which idempotency key.
import { fail } from '#mesh/failure';
import type { JsonValue } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';
import type { Admin } from '../domain/admin.ts';
import type { CallFacts } from '../ports/control-store.ts';

export interface IdempotencyClaim {
  readonly key: string;
  readonly route: string;
  /** Everything of the request that decides what it creates. */
  readonly request: JsonValue;
}

export interface AdminCall {
  readonly admin: Admin;
  readonly facts: CallFacts;
  readonly idempotency: IdempotencyClaim | undefined;
}

/** A call in one zone. */
export interface ZoneCall extends AdminCall {
  readonly zoneId: ZoneId;
}

/** What a flow that creates gives back. */
export interface Created<T> {
  readonly entity: T;
  readonly status: 200 | 201 | 202;
  /** The same key has been used before: this is the answer of that time, without its secrets. */
  readonly replayed: boolean;
  /** Shown in this answer and never again. */
  readonly once?: Readonly<Record<string, string>> | undefined;
}

/** The names of the fields a request sets, for the ledger. */
export function givenFields(input: object): string[] {
  return Object.entries(input)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
}

/** The thing, or `not_found` in its own words. */
export function found<T>(thing: T | undefined, name: string): T {
  if (thing === undefined) throw fail('not_found', { description: `There is no such ${name} here.` });
  return thing;
}

export type { Page, PageQuery, Patch } from '../ports/collection.ts';
