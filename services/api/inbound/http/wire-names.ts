// The names of members on the wire and inside: snake_case there, camelCase here. Only the outermost members are renamed:
// what lies deeper (labels, params, operations) has names of its own that are nobody's to change.

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;

export type FromWire<T> = { [K in keyof T as K extends string ? Camel<K> : never]: T[K] };

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A validated document as the flows take it. */
export function fromWire<T extends object>(document: T): FromWire<T> {
  return Object.fromEntries(Object.entries(document).map(([name, value]) => [camel(name), value])) as FromWire<T>;
}

/** An entity as it is answered; what is undefined is left out. */
export function toWire(entity: object): Record<string, unknown> {
  const entries = Object.entries(entity).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [snake(name), value]));
}
