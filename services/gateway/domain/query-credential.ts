// Puts a credential into the query of the upstream request. It stands alone because the rest of the query must stay the very
// bytes that were received, while no parameter of the caller's may pass for the credential.

export interface QueryCredential {
  /** RFC 3986 unreserved characters alone. */
  readonly name: string;
  /** Not encoded. */
  readonly value: string;
}

/** A name as a server reads it: `+` is a space, percent-encoding is undone; what cannot be decoded stays. */
function readName(pair: string): string {
  const raw = pair.split('=', 1)[0] ?? '';
  try {
    return decodeURIComponent(raw.replaceAll('+', ' '));
  } catch {
    return raw;
  }
}

/** `query` with its question mark, or empty. The caller's parameters of that name are left out, all others untouched. */
export function withQueryCredential(query: string, { name, value }: QueryCredential): string {
  const pairs = query.startsWith('?') ? query.slice(1).split('&') : [];
  // Some servers read `name[]` and `name` alike, and names without regard to case.
  const wanted = name.toLowerCase();
  const kept = pairs.filter((pair) => {
    const given = readName(pair).toLowerCase();
    return given !== wanted && !given.startsWith(`${wanted}[`);
  });
  const rest = kept.join('&');
  return `?${rest === '' ? '' : `${rest}&`}${name}=${encodeURIComponent(value)}`;
}
