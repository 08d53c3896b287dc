// Finds the one character that JSON can carry and Postgres text cannot: NUL. Lone surrogates are refused by the JSON reader.

/** The path of the first text, or member name, with a NUL in it; undefined when there is none. */
export function nulPath(value: unknown, path = ''): string | undefined {
  if (typeof value === 'string') return value.includes('\u0000') ? path || 'body' : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    if (name.includes('\u0000')) return `${path || 'body'}.?`;
    const found = nulPath(member, stepTo(path, name, Array.isArray(value)));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A name that may be shown; a stranger one could carry what must not be repeated. */
const plainName = /^[A-Za-z0-9_.:-]{1,64}$/;

function stepTo(path: string, name: string, isIndex: boolean): string {
  if (isIndex) return `${path}[${name}]`;
  const shown = plainName.test(name) ? name : '?';
  return path === '' ? shown : `${path}.${shown}`;
}
