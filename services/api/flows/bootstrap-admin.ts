// Makes the token of the environment an admin token, so that an installation can be administered at all.
import { sha256 } from '#mesh/canonical';
import type { Logger } from '#mesh/telemetry';
import type { ApiDeps } from '../ports/deps.ts';

/** Idempotent; a token that an administrator has revoked stays revoked. @throws store_unavailable. */
export async function bootstrapAdmin(
  deps: Pick<ApiDeps, 'store' | 'newId'>,
  token: string,
  logger: Logger,
): Promise<void> {
  const id = deps.newId();
  const facts = { requestId: id, traceId: undefined, traceparent: undefined };
  const outcome = await deps.store.bootstrapToken({ id, digest: sha256(token) }, facts);
  if (outcome === 'revoked') logger.warn({}, 'ADMIN_TOKEN names a token that was revoked: it opens nothing');
  else logger.info({ outcome }, 'the bootstrap admin token stands');
}
