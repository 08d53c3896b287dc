// Which upstream addresses a resource may name, by their text. Where a name leads is judged when the Gateway connects.

/**
 * Visible ASCII in lower-case http or https. The parser below (WHATWG URL) would drop white space inside, read a backslash
 * as a slash, and skip slashes before the host.
 */
const form = /^https?:\/\/(?!\/)[\x21-\x5b\x5d-\x7e]+$/;

/** The rule that an upstream's URL breaks; undefined when it may be stored. */
export function upstreamProblem(text: string): string | undefined {
  if (!form.test(text) || !URL.canParse(text)) return 'an absolute http or https URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'no user information: credentials belong to a provider';
  if (text.includes('?') || text.includes('#')) return 'no query and no fragment';
  return url.hostname === '' || url.hostname.endsWith('..') ? 'names a host' : undefined;
}
