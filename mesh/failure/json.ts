// The one type of JSON values that errors, events and digests are made of.
// It stands alone so that every row of the mesh can name it without importing anything.

/** Any value that JSON can carry, as it comes out of a parser. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object with string keys; a member that is absent is not written at all. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}
