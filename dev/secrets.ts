/**
 * The secrets of one installation: made once, kept in a file that only its owner reads, and never changed afterwards,
 * because sealed data, logins and chains depend on them.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StackSecrets } from './environment.ts';

export interface InstallationSecrets extends StackSecrets {
  postgresPassword: string;
  /** One for the login users of all services; they differ in name and rights. */
  loginPassword: string;
  redisPassword: string;
  opaToken: string;
}

/** 256 bits for keys and passwords alike: none of them is typed by a person. */
const secretBytes = 32;

const makers: { [Name in keyof InstallationSecrets]: () => string } = {
  zoneKek: hexSecret,
  auditHmacKey: hexSecret,
  streamsHmacKey: hexSecret,
  gatewayStsHmacKey: hexSecret,
  adminToken: () => `cat_${randomBytes(secretBytes).toString('base64url')}`,
  postgresPassword: hexSecret,
  loginPassword: hexSecret,
  redisPassword: hexSecret,
  opaToken: hexSecret,
};

function hexSecret(): string {
  return randomBytes(secretBytes).toString('hex');
}

/** Fresh ones that no file keeps. */
export function makeSecrets(): InstallationSecrets {
  return completed({});
}

function completed(kept: Partial<Record<keyof InstallationSecrets, unknown>>): InstallationSecrets {
  const take = (name: keyof InstallationSecrets): string => {
    const value = kept[name];
    return typeof value === 'string' && value !== '' ? value : makers[name]();
  };
  return {
    zoneKek: take('zoneKek'),
    auditHmacKey: take('auditHmacKey'),
    streamsHmacKey: take('streamsHmacKey'),
    gatewayStsHmacKey: take('gatewayStsHmacKey'),
    adminToken: take('adminToken'),
    postgresPassword: take('postgresPassword'),
    loginPassword: take('loginPassword'),
    redisPassword: take('redisPassword'),
    opaToken: take('opaToken'),
  };
}

/**
 * The secrets kept at `path`; what is missing is made and written, mode 0600, in one step. Fails when the file is there
 * and cannot be read as what it should be: making new secrets would lock the kept data away.
 */
export function keepSecrets(path: string): InstallationSecrets {
  const kept = existsSync(path) ? readKept(path) : {};
  const secrets = completed(kept);
  if (JSON.stringify(kept) !== JSON.stringify(secrets)) writePrivate(path, `${JSON.stringify(secrets, null, 2)}\n`);
  chmodSync(path, 0o600);
  return secrets;
}

function readKept(path: string): Partial<Record<keyof InstallationSecrets, unknown>> {
  try {
    const kept: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof kept === 'object' && kept !== null && !Array.isArray(kept)) return kept;
  } catch {
    // Told below without the parser's words, which quote the file.
  }
  throw new Error(`${path} is damaged; restore it, or remove the folder it is in to begin anew without the kept data`);
}

/** An Ed25519 signing key for the ledger's checkpoints, made once (PKCS #8 PEM, mode 0600). */
export function keepCheckpointKey(path: string): void {
  if (existsSync(path)) return;
  const { privateKey } = generateKeyPairSync('ed25519');
  writePrivate(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/** Writes a file that only its owner reads, whole or not at all. */
export function writePrivate(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, path);
}
