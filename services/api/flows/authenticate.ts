// Finds the admin a bearer stands for, by its digest: the token itself is stored nowhere.
import { sha256 } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import { type Admin, maxTokenLength } from '../domain/admin.ts';
import type { ApiDeps } from '../ports/deps.ts';

/** @throws invalid_admin_token, store_unavailable. */
export async function authenticateAdmin(deps: Pick<ApiDeps, 'store'>, bearer: string | undefined): Promise<Admin> {
  if (bearer === undefined || bearer === '' || bearer.length > maxTokenLength) throw fail('invalid_admin_token');
  const admin = await deps.store.findAdmin(sha256(bearer));
  if (admin === undefined) throw fail('invalid_admin_token');
  return admin;
}
