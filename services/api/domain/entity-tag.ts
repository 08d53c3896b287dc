// Versions on the wire: `ETag` and `If-Match` (RFC 9110 §8.8.3, §13.1.1). Strong comparison; a weak tag matches nothing.

export type IfMatch = { readonly kind: 'any' } | { readonly kind: 'versions'; readonly versions: readonly number[] };

/** No client has more than a few versions in mind. */
const maxTags = 16;
const tagForm = /^(W\/)?"([\x21\x23-\x7e]{0,64})"$/;
const versionForm = /^[1-9]\d{0,14}$/;

export function entityTag(version: number): string {
  return `"${version}"`;
}

/** The versions a header names; undefined when it is no list of entity tags. Tags that are not ours match nothing. */
export function parseIfMatch(header: string): IfMatch | undefined {
  if (header.trim() === '*') return { kind: 'any' };
  const tags = header.split(',').map((tag) => tagForm.exec(tag.trim()));
  if (tags.length > maxTags || tags.includes(null)) return undefined;
  const versions = tags
    .filter((tag) => tag?.[1] === undefined && versionForm.test(tag?.[2] ?? ''))
    .map((tag) => Number(tag?.[2]));
  return { kind: 'versions', versions };
}

export function matchesVersion(ifMatch: IfMatch, version: number): boolean {
  return ifMatch.kind === 'any' || ifMatch.versions.includes(version);
}
