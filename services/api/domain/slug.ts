// Slugs: the short names that stand in paths. Derived from a name when none is given.

/** What a slug looks like: a DNS label (RFC 1123 §2.1), so that it may become one. */
export const slugPattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';

const maxSlugLength = 63;
/** Leaves room for `-` and a number up to four digits. */
const maxStemLength = maxSlugLength - 5;

/** The slug of a name; undefined when the name has nothing a slug could be made of. */
export function deriveSlug(name: string): string | undefined {
  const stem = name
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, maxStemLength)
    .replaceAll(/^-+|-+$/g, '');
  return stem === '' ? undefined : stem;
}

/** The n-th try at a derived slug that is taken: calendar, calendar-2, calendar-3… */
export function numberedSlug(stem: string, attempt: number): string {
  return attempt <= 1 ? stem : `${stem}-${attempt}`;
}
