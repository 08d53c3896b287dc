// A mandate shown at the token endpoint, as subject or as actor: genuine, of the right class, proven where it is bound, and
// not revoked.
import { fail } from '#mesh/failure';
import type { ProvenKey } from '#mesh/authority';
import type { VerifiedMandate } from '#mesh/mandate';
import { refuseMandate } from '../../domain/audience.ts';
import type { MandateReader } from '../../ports/mandate-issuing.ts';
import type { Revocations } from '../../ports/revocations.ts';

export interface ReadMandateDeps {
  readonly issuer: string;
  readonly mandateReader: MandateReader;
  readonly revocations: Revocations;
}

export interface ShownMandate {
  readonly zoneId: string;
  readonly token: string;
  readonly proven: ProvenKey;
}

/** Throws `invalid_token`, `token_revoked`. */
export async function readMandate(
  deps: ReadMandateDeps,
  { zoneId, token, proven }: ShownMandate,
): Promise<VerifiedMandate> {
  const mandate = await deps.mandateReader.verify(token);
  const { issuer } = deps;
  const refusal = refuseMandate(mandate.claims, { at: 'token_endpoint', issuer, zoneId, proven });
  if (refusal !== undefined) throw fail('invalid_token', { privateDetail: refusal });
  if (deps.revocations.refuses(zoneId, mandate.claims.rev, deps.mandateReader.anchorsOf(mandate))) {
    throw fail('token_revoked');
  }
  return mandate;
}
