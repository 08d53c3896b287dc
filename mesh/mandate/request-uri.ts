// One spelling for the URI of a request, so that a proof made by any client compares with the address we were asked at
// (RFC 9449 §4.3 item 9, RFC 3986 §6.2.2 and §6.2.3). It stands alone because the address is always a configured one:
// what a request says of its own host is never looked at.

// RFC 9110 §4.1 asks for 8,000 octets at least; nothing longer reaches a service of ours.
const LONGEST_URI = 8_000;
// Absolute, http or https, no user, no query, no fragment; the path in the characters of RFC 3986 §3.3 and the few that
// clients send unencoded, all of them visible ASCII.
const ABSOLUTE =
  /^(https?):\/\/((?:\[[0-9a-f:.]+\])|(?:[a-z0-9._~%!$&'()*+,;=-]+))(?::([0-9]{0,5}))?(\/[\x21-\x7e]*)?$/i;
const ESCAPE = /%([0-9a-fA-F]{2})/g;
const STRAY_PERCENT = /%(?![0-9a-fA-F]{2})/;
const UNRESERVED = /^[A-Za-z0-9._~-]$/;
const defaultPorts: Readonly<Record<string, string>> = { http: '80', https: '443' };

// RFC 3986 §6.2.2.1 and §6.2.2.2: escapes in upper case, those of unreserved characters decoded, once.
function normalPath(path: string): string {
  return path.replaceAll(ESCAPE, (escape, hex: string) => {
    const character = String.fromCodePoint(Number.parseInt(hex, 16));
    return UNRESERVED.test(character) ? character : escape.toUpperCase();
  });
}

/**
 * The URI in its one spelling: scheme and host in lower case, no default port, `/` for an empty path, escapes as RFC 3986
 * wants them. Dot segments stay as they are: servers disagree about them, so two spellings are two addresses. Undefined
 * for anything with a query, a fragment or a user, and for what is no absolute http URI.
 */
export function normalRequestUri(uri: string): string | undefined {
  if (uri.length > LONGEST_URI || uri.includes('?') || uri.includes('#') || STRAY_PERCENT.test(uri)) return undefined;
  const [, scheme, host, port, path] = ABSOLUTE.exec(uri) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  const protocol = scheme.toLowerCase();
  const isDefault = port === undefined || port === '' || port === defaultPorts[protocol];
  return `${protocol}://${host.toLowerCase()}${isDefault ? '' : `:${port}`}${normalPath(path ?? '/')}`;
}

/**
 * The addresses under which a request target was asked for: each configured outside address with the target's path, the
 * query cut off. Addresses and targets that cannot be spelled are left out, so that nothing can be proven for them.
 */
export function requestUris(publicUrls: readonly string[], target: string): readonly string[] {
  const [path = ''] = target.split('?', 1);
  if (!path.startsWith('/')) return [];
  return publicUrls.flatMap(
    (base) => normalRequestUri(`${base.endsWith('/') ? base.slice(0, -1) : base}${path}`) ?? [],
  );
}
