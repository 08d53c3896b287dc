// What somebody does who has got hold of a zone's signing key: mandates with whatever claims they like. A drill steals the key
// from the database with the installation's own key-encryption key, which no service ever gives away.
import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { type ZoneId, knownId } from '#mesh/ids';
import { createPool } from '#mesh/postgres';
import { createKeyring, open } from '#mesh/secrets';
import { createLogger } from '#mesh/telemetry';

export interface LeakedKey {
  readonly kid: string;
  /** The claims of a genuine mandate, with these in their place, signed anew. */
  forge(genuine: string, claims: Readonly<Record<string, unknown>>): string;
}

interface Row {
  readonly id: string;
  readonly envelope: Buffer;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function forge(key: KeyObject, kid: string, claims: unknown): string {
  const input = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** The claims of a mandate, unverified. */
function claimsOf(mandate: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(mandate.split('.')[1] ?? '', 'base64url').toString('utf8')) as Record<string, unknown>;
}

/** The `kid` a mandate names. */
export function kidOf(mandate: string): string {
  const header = JSON.parse(Buffer.from(mandate.split('.')[0] ?? '', 'base64url').toString('utf8')) as {
    kid?: unknown;
  };
  return String(header.kid);
}

/** Steals the key that signs now, as the STS would read it. */
export async function stealKey(from: { databaseUrl: string; zoneKek: string; zoneId: string }): Promise<LeakedKey> {
  const logger = createLogger({ service: 'sts', level: 'error', replica: 'thief' });
  await using database = createPool({ service: 'sts', connectionString: from.databaseUrl, max: 1, logger });
  const row = await database.inZone(knownId<ZoneId>(from.zoneId), (tx) =>
    tx.one<Row>(
      `SELECT id, envelope FROM sts.zone_keys
        WHERE zone_id = $1 AND signs_from <= clock_timestamp() AND (signs_until IS NULL OR signs_until > clock_timestamp())`,
      [from.zoneId],
    ),
  );
  if (row === undefined) throw new Error('the zone has no key that signs');
  const location = { table: 'sts.zone_keys', column: 'envelope', rowId: row.id };
  const pkcs8 = open(createKeyring({ current: from.zoneKek }), row.envelope, location);
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return { kid: row.id, forge: (genuine, claims) => forge(key, row.id, { ...claimsOf(genuine), ...claims }) };
}
