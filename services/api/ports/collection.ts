// Rows of one kind inside one transaction, live rows only: what is archived does not exist here.

/** What the database gives a row by itself; a version only where it counts changes. */
type Given<T> =
  | 'createdAt'
  | 'updatedAt'
  | 'latestVersion'
  | 'activeVersionId'
  | 'secretNames'
  | (T extends { readonly updatedAt: string } ? 'version' : never);

/** A row to insert. `undefined` leaves the column's default. */
export type Fresh<T> = Omit<T, Given<T> & keyof T>;

/** A change: absent keeps, null clears. */
export type Patch<T> = { readonly [K in keyof Omit<T, Given<T> | 'id' | 'zoneId'>]?: T[K] | null | undefined };

export interface PageQuery {
  /** 1 to 500. */
  readonly limit: number;
  /** `nextCursor` of the page before; anything else is `invalid_request`. */
  readonly cursor: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | undefined;
}

/** Promise: a name that is taken is `conflict`, saying which; nothing of it is written then. */
export interface Collection<T, Hidden extends object = object> {
  insert(row: Fresh<T> & Hidden): Promise<T>;
  /** As insert, but undefined when the slug is taken, so that another can be tried in the same transaction. */
  insertIfFree(row: Fresh<T> & Hidden): Promise<T | undefined>;
  find(id: string): Promise<T | undefined>;
  /** As find, and the row stays as it is until the transaction ends. */
  hold(id: string): Promise<T | undefined>;
  /** As find, and nobody else changes the row until the transaction ends. */
  lock(id: string): Promise<T | undefined>;
  /** Counts the version up. */
  update(id: string, patch: Patch<T> & Partial<Hidden>): Promise<T>;
  archive(id: string): Promise<T>;
  /** Newest first; `filter` by equal columns. */
  page(query: PageQuery, filter?: Partial<T>): Promise<Page<T>>;
}
