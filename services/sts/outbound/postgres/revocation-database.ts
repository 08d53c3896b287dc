// Two connections of their own for revocation: a lease is a few seconds, and waiting behind requests would cost it.
import { createPool } from '#mesh/postgres';
import type { Database } from '#mesh/postgres';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

/** A renewal that takes longer than this is lost anyway. */
const statementTimeoutMs = 2000;

export function openRevocationDatabase(connectionString: string, logger: Logger, clock: Clock): Database {
  return createPool({ service: 'sts', connectionString, max: 2, statementTimeoutMs, logger, clock });
}
