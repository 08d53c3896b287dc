// Finds a slug: the one that was asked for, or the first free one derived from a name.
import { fail } from '#mesh/failure';
import { deriveSlug, numberedSlug } from '../domain/slug.ts';

/** Names that give the same slug more often than this are better told apart by hand. */
const maxAttempts = 50;

/** Tries to insert under one slug after another; `insert` answers undefined for a slug that is taken. */
export async function withFreeSlug<T>(
  wish: { readonly slug: string | undefined; readonly name: string; readonly fallback: string },
  insert: (slug: string) => Promise<T | undefined>,
): Promise<T> {
  const taken = fail('conflict', { description: 'The slug is taken.', fields: [{ path: 'slug', rule: 'unique' }] });
  if (wish.slug !== undefined) {
    const inserted = await insert(wish.slug);
    if (inserted === undefined) throw taken;
    return inserted;
  }
  const stem = deriveSlug(wish.name) ?? wish.fallback;
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const inserted = await insert(numberedSlug(stem, attempt));
    if (inserted !== undefined) return inserted;
  }
  throw taken;
}
