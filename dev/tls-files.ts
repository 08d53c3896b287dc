/** Keeps the certificates of an installation: one root, one leaf per service, one for an operator, renewed in time. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { services } from '#mesh/topology';
import { createAuthority, issueCertificate } from './certificates.ts';
import type { Authority } from './certificates.ts';
import { trustDomain } from './environment.ts';
import { writePrivate } from './secrets.ts';

/** A stack that is started at least once a month never meets an expired certificate. */
const renewBeforeMilliseconds = 30 * 86_400_000;

/** The operator's certificate, for a gRPC client in a person's hands. */
const operatorName = 'dev';

/**
 * Makes what is missing, expires soon or is not of this root. `bundle.pem` holds the root and the public ones, because
 * a shell that trusts this installation still has to reach the rest of the world.
 */
export async function keepTlsFiles(folder: string): Promise<void> {
  const authority = await keepAuthority(folder);
  const bundle = [authority.certificatePem.trimEnd(), ...rootCertificates].join('\n');
  writePrivate(join(folder, 'bundle.pem'), `${bundle}\n`);
  for (const service of services) await keepLeaf({ folder, authority, name: service, path: `caracal/${service}` });
  await keepLeaf({ folder, authority, name: 'operator', path: `operator/${operatorName}` });
}

async function keepAuthority(folder: string): Promise<Authority> {
  const kept = readPair(folder, 'ca');
  if (kept !== undefined && lastsLongEnough(kept.certificatePem)) return kept;
  const authority = await createAuthority({ commonName: 'Caracal dev CA' });
  writePair(folder, 'ca', authority);
  return authority;
}

interface Leaf {
  folder: string;
  authority: Authority;
  name: string;
  /** Of the SPIFFE id, below the trust domain. */
  path: string;
}

async function keepLeaf({ folder, authority, name, path }: Leaf): Promise<void> {
  const kept = readPair(folder, name);
  if (kept !== undefined && lastsLongEnough(kept.certificatePem) && isIssuedBy(kept.certificatePem, authority)) return;
  const leaf = await issueCertificate(authority, {
    commonName: name,
    uris: [`spiffe://${trustDomain}/${path}`],
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
  });
  writePair(folder, name, leaf);
}

function readPair(folder: string, name: string): Authority | undefined {
  const [certificate, key] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  if (!existsSync(certificate) || !existsSync(key)) return undefined;
  return { certificatePem: readFileSync(certificate, 'utf8'), privateKeyPem: readFileSync(key, 'utf8') };
}

/** The key goes first: a certificate without its key counts as missing. */
function writePair(folder: string, name: string, pair: Authority): void {
  writePrivate(join(folder, `${name}-key.pem`), pair.privateKeyPem);
  writePrivate(join(folder, `${name}.pem`), pair.certificatePem);
}

function lastsLongEnough(pem: string): boolean {
  try {
    return new X509Certificate(pem).validToDate.getTime() - Date.now() > renewBeforeMilliseconds;
  } catch {
    return false;
  }
}

function isIssuedBy(pem: string, authority: Authority): boolean {
  return new X509Certificate(pem).verify(new X509Certificate(authority.certificatePem).publicKey);
}
