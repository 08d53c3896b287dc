import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAuthority, issueCertificate } from './certificates.ts';
import { keepTlsFiles } from './tls-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-tls-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

test('makes one identity per service and one for an operator, readable by their owner alone', async () => {
  await keepTlsFiles(folder);
  expect(new X509Certificate(read('gateway.pem')).subjectAltName).toBe(
    'URI:spiffe://caracal.dev/caracal/gateway, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
  );
  expect(new X509Certificate(read('operator.pem')).subjectAltName).toContain('URI:spiffe://caracal.dev/operator/dev');
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
});

test('keeps what is still good', async () => {
  await keepTlsFiles(folder);
  const before = [read('ca.pem'), read('sts.pem')];
  await keepTlsFiles(folder);
  expect([read('ca.pem'), read('sts.pem')]).toEqual(before);
});

test('renews a certificate that expires soon or comes from another root', async () => {
  await keepTlsFiles(folder);
  const foreign = await createAuthority({ commonName: 'Caracal dev CA' });
  const own = { certificatePem: read('ca.pem'), privateKeyPem: read('ca-key.pem') };
  writeFileSync(join(folder, 'sts.pem'), (await issueCertificate(foreign, { commonName: 'sts' })).certificatePem);
  const soon = { commonName: 'api', notAfter: new Date(Date.now() + 86_400_000) };
  writeFileSync(join(folder, 'api.pem'), (await issueCertificate(own, soon)).certificatePem);
  await keepTlsFiles(folder);
  const root = new X509Certificate(own.certificatePem);
  expect(new X509Certificate(read('sts.pem')).verify(root.publicKey)).toBe(true);
  expect(new X509Certificate(read('api.pem')).validToDate.getTime()).toBeGreaterThan(Date.now() + 40 * 86_400_000);
});

test('lets a shell that trusts the stack still trust the public roots', async () => {
  await keepTlsFiles(folder);
  expect(read('bundle.pem').match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(50);
  expect(read('bundle.pem').startsWith(read('ca.pem').trimEnd())).toBe(true);
});
