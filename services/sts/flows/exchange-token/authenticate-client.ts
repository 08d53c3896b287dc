// First step: is the caller the application it says it is? Whoever is not learns nothing of what exists, neither from
// words nor from time.
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { hasRightCheck } from '../../domain/client-secret.ts';
import { isLive } from '../../domain/directory.ts';
import type { Application, Zone } from '../../domain/directory.ts';
import type { Directory } from '../../ports/directory.ts';
import type { FailureCounter, SecretVerifier } from '../../ports/secret-verifier.ts';

export interface AuthenticateDeps {
  readonly directory: Pick<Directory, 'zone' | 'application'>;
  readonly secretVerifier: SecretVerifier;
  readonly failureCounter: FailureCounter;
  readonly clock: Pick<Clock, 'now'>;
  /** Stands in for the check key of a zone that does not exist; random per process. */
  readonly unknownZoneKey: Uint8Array;
}

/** What a client proves itself with: its secret, or an assertion it signed (RFC 7523 §2.2); never both. */
export type ClientCredential =
  { readonly kind: 'secret'; readonly secret: string } | { readonly kind: 'assertion'; readonly assertion: string };

export interface Credentials {
  readonly zoneId: string;
  readonly applicationId: string;
  readonly credential: ClientCredential;
  readonly source: string;
}

export interface AuthenticatedClient {
  readonly zone: Zone;
  readonly application: Application;
}

/** Failures are counted per minute, so a minute is when to come back. */
const failureWindowMs = 60_000;

async function find(
  deps: AuthenticateDeps,
  { zoneId, applicationId }: Credentials,
): Promise<Partial<AuthenticatedClient>> {
  const zone = await deps.directory.zone(zoneId);
  if (!zone) return {};
  const application = await deps.directory.application(zoneId, applicationId);
  return application && isLive(application, deps.clock.now()) ? { zone, application } : { zone };
}

/**
 * The zone and application, or `invalid_client`; `rate_limited` after too many failures from one address, which never
 * concerns a right secret. Junk is refused by its check part alone; whatever passes that costs one derivation, for an
 * application that exists and for one that does not.
 */
export async function authenticateClient(
  deps: AuthenticateDeps,
  credentials: Credentials,
): Promise<AuthenticatedClient> {
  const { zoneId, applicationId, credential } = credentials;
  if (credential.kind === 'assertion') throw fail('invalid_client', { privateDetail: 'no_usable_secret' });
  const { zone, application } = await find(deps, credentials);
  const checkKey = zone?.secretCheckKey ?? deps.unknownZoneKey;
  const plausible = hasRightCheck(checkKey, credential.secret, applicationId);
  const storedHash = application?.secretHash;
  const right =
    plausible && (await deps.secretVerifier.verify({ zoneId, applicationId, storedHash, secret: credential.secret }));
  if (zone && application && right) return { zone, application };
  if (deps.failureCounter.failed(applicationId, credentials.source)) {
    throw fail('rate_limited', { retryAfterMs: failureWindowMs, privateDetail: 'too many failed authentications' });
  }
  throw fail('invalid_client', { privateDetail: application ? 'wrong_secret' : 'unknown_client' });
}
