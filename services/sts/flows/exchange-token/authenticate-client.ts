// First step: is the caller the application it says it is? Whoever is not learns nothing of what exists, neither from
// words nor from time.
import { sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { judgeAssertion, keyFor, parseAssertion } from '../../domain/client-assertion.ts';
import { hasRightCheck } from '../../domain/client-secret.ts';
import { isLive } from '../../domain/directory.ts';
import type { Application, Zone } from '../../domain/directory.ts';
import type { AssertionVerifier } from '../../ports/assertion-verifier.ts';
import type { Directory } from '../../ports/directory.ts';
import type { FailureCounter, SecretVerifier } from '../../ports/secret-verifier.ts';
import type { SingleUse } from '../../ports/single-use.ts';

export interface AuthenticateDeps {
  readonly issuer: string;
  readonly directory: Pick<Directory, 'zone' | 'application'>;
  readonly secretVerifier: SecretVerifier;
  readonly assertionVerifier: AssertionVerifier;
  readonly singleUse: SingleUse;
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

type Found = Partial<AuthenticatedClient>;

async function find(deps: AuthenticateDeps, { zoneId, applicationId }: Credentials): Promise<Found> {
  const zone = await deps.directory.zone(zoneId);
  if (!zone) return {};
  const application = await deps.directory.application(zoneId, applicationId);
  return application && isLive(application, deps.clock.now()) ? { zone, application } : { zone };
}

/** What was wrong, for evidence alone; undefined when nothing was. */
type Wrong = string | undefined;

/**
 * Junk is refused by its check part alone; whatever passes that costs one derivation, for an application that exists and
 * for one that does not.
 */
async function wrongWithSecret(
  deps: AuthenticateDeps,
  { zoneId, applicationId }: Credentials,
  { secret, zone, application }: Found & { readonly secret: string },
): Promise<Wrong> {
  const checkKey = zone?.secretCheckKey ?? deps.unknownZoneKey;
  const storedHash = application?.secretHash;
  const right =
    hasRightCheck(checkKey, secret, applicationId) &&
    (await deps.secretVerifier.verify({ zoneId, applicationId, storedHash, secret }));
  return right ? undefined : 'wrong_secret';
}

/** RFC 7523 §3, RFC 10070. The `jti` is spent last, so that only the key's holder can spend it. */
async function wrongWithAssertion(
  deps: AuthenticateDeps,
  { zoneId, applicationId }: Credentials,
  { assertion, application }: Found & { readonly assertion: string },
): Promise<Wrong> {
  const parsed = parseAssertion(assertion);
  if (!parsed) return 'malformed_assertion';
  const { algorithm } = parsed;
  const key = keyFor(parsed, application?.publicKeys ?? []);
  if (!(await deps.assertionVerifier.isSignedBy({ assertion, algorithm, key }))) {
    return key ? 'wrong_assertion_signature' : 'no_key_for_assertion';
  }
  const verdict = judgeAssertion(parsed, { issuer: deps.issuer, clientId: applicationId, nowMs: deps.clock.now() });
  if (verdict.kind === 'refused') return verdict.cause;
  const { jti, ttlMs, issuedAtMs } = verdict;
  const mark = { zoneId, kind: 'client_assertion', ttlMs, issuedAtMs } as const;
  const use = await deps.singleUse.spend({ ...mark, id: `${applicationId}:${sha256Hex(jti)}` });
  return use === 'first' ? undefined : 'assertion_replayed';
}

async function wrongWith(deps: AuthenticateDeps, credentials: Credentials, found: Found): Promise<Wrong> {
  const { credential } = credentials;
  switch (credential.kind) {
    case 'secret':
      return wrongWithSecret(deps, credentials, { ...found, secret: credential.secret });
    case 'assertion':
      return wrongWithAssertion(deps, credentials, { ...found, assertion: credential.assertion });
  }
}

/**
 * The zone and application, or `invalid_client`; `rate_limited` after too many failures from one address, which never
 * concerns a right credential. Neither words nor time tell an unknown application from a wrong credential.
 * `replay_store_unavailable` when nobody can say whether an assertion was used before.
 */
export async function authenticateClient(
  deps: AuthenticateDeps,
  credentials: Credentials,
): Promise<AuthenticatedClient> {
  const { zone, application } = await find(deps, credentials);
  const wrong = await wrongWith(deps, credentials, {
    ...(zone ? { zone } : {}),
    ...(application ? { application } : {}),
  });
  if (zone && application && wrong === undefined) return { zone, application };
  if (deps.failureCounter.failed(credentials.applicationId, credentials.source)) {
    throw fail('rate_limited', { retryAfterMs: failureWindowMs, privateDetail: 'too many failed authentications' });
  }
  throw fail('invalid_client', { privateDetail: application ? wrong : 'unknown_client' });
}
