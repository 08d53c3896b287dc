import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrivateKey } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepCheckpointKey, keepSecrets, makeSecrets } from './secrets.ts';
import type { InstallationSecrets } from './secrets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-secrets-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('makes secrets once and keeps them for their owner alone', () => {
  const path = join(folder, 'state', 'secrets');
  const first = keepSecrets(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  chmodSync(path, 0o644);
  expect(keepSecrets(path)).toEqual(first);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('makes every secret different and 256 bits long', () => {
  const { adminToken, ...keys } = makeSecrets();
  expect(adminToken).toMatch(/^cat_[\w-]{43}$/);
  for (const key of Object.values(keys)) expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(Object.values(keys)).size).toBe(Object.keys(keys).length);
});

test('adds what a kept file lacks and keeps the rest', () => {
  const path = join(folder, 'secrets');
  const older: Partial<InstallationSecrets> = makeSecrets();
  delete older.opaToken;
  writeFileSync(path, JSON.stringify(older));
  const secrets = keepSecrets(path);
  expect(secrets).toMatchObject(older);
  expect(keepSecrets(path)).toEqual(secrets);
});

test('refuses a damaged file instead of locking the kept data away, and does not quote it', () => {
  const path = join(folder, 'secrets');
  writeFileSync(path, '{"zoneKek":"abc');
  expect(() => keepSecrets(path)).toThrow(/damaged/);
  expect(() => keepSecrets(path)).not.toThrow(/abc/);
  expect(readFileSync(path, 'utf8')).toBe('{"zoneKek":"abc');
});

test('makes the checkpoint key once, as Ed25519', () => {
  const path = join(folder, 'keys', 'checkpoint.pem');
  keepCheckpointKey(path);
  const first = readFileSync(path, 'utf8');
  keepCheckpointKey(path);
  expect(readFileSync(path, 'utf8')).toBe(first);
  expect(createPrivateKey(first).asymmetricKeyType).toBe('ed25519');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
