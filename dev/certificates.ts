/**
 * The throw-away certificate authority of the dev stack and of the tests: P-256, one root, leaves with URI SANs.
 * It stands alone so that tests can make hostile certificates (foreign, expired, two identities) with the same code.
 */
import './reflect-metadata.ts';
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Extension, JsonGeneralName } from '@peculiar/x509';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface Authority {
  certificatePem: string;
  privateKeyPem: string;
}

export interface AuthorityOptions {
  commonName: string;
  /** Lifetime in days from now; ten years when absent, because a dev stack's state outlives any rotation habit. */
  days?: number;
}

export interface CertificateOptions {
  commonName: string;
  uris?: string[];
  dnsNames?: string[];
  ipAddresses?: string[];
  /** Five minutes ago when absent, so that a peer whose clock runs behind accepts it. */
  notBefore?: Date;
  /** 397 days after `notBefore` when absent. */
  notAfter?: Date;
  /** Extended key usages; both when absent, because a service's certificate is also its client identity. */
  usages?: ('clientAuth' | 'serverAuth')[];
}

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;
const dayMilliseconds = 86_400_000;
/** Clocks of one machine's processes agree, containers' may not: five minutes is what TLS stacks commonly forgive. */
const backdateMilliseconds = 300_000;
const authorityDays = 3650;
/** The longest lifetime that browsers accept for a server certificate. */
const leafDays = 397;

/** Makes a new self-signed root. Two calls never share a key, so each root is foreign to all others. */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const keys = await generateKeys();
  const notBefore = new Date(Date.now() - backdateMilliseconds);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [options.commonName] }],
    keys,
    notBefore,
    notAfter: new Date(Date.now() + (options.days ?? authorityDays) * dayMilliseconds),
    signingAlgorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), privateKeyPem: await exportPrivateKey(keys.privateKey) };
}

/**
 * Issues a leaf under `authority`. Takes whatever identity it is given, valid or not: what a listener accepts is
 * decided there. Fails when a name is not encodable or the authority's PEM cannot be read.
 */
export async function issueCertificate(
  authority: Authority,
  options: CertificateOptions,
): Promise<{ certificatePem: string; privateKeyPem: string }> {
  const issuer = new X509Certificate(authority.certificatePem);
  const keys = await generateKeys();
  const notBefore = options.notBefore ?? new Date(Date.now() - backdateMilliseconds);
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [options.commonName] }],
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importPrivateKey(authority.privateKeyPem),
    notBefore,
    notAfter: options.notAfter ?? new Date(notBefore.getTime() + leafDays * dayMilliseconds),
    signingAlgorithm,
    extensions: await leafExtensions({ options, issuer, publicKey: keys.publicKey }),
  });
  return { certificatePem: certificate.toString('pem'), privateKeyPem: await exportPrivateKey(keys.privateKey) };
}

interface LeafSubject {
  options: CertificateOptions;
  issuer: X509Certificate;
  publicKey: webcrypto.CryptoKey;
}

/** The profile of RFC 5280 §4.2.1: basic constraints, key usage, both key identifiers, extended usages, names. */
async function leafExtensions({ options, issuer, publicKey }: LeafSubject): Promise<Extension[]> {
  const usages = (options.usages ?? ['serverAuth', 'clientAuth']).map((usage) => ExtendedKeyUsage[usage]);
  const names: JsonGeneralName[] = [
    ...(options.uris ?? []).map((value) => ({ type: 'url' as const, value })),
    ...(options.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(options.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  if (usages.length > 0) extensions.push(new ExtendedKeyUsageExtension(usages));
  if (names.length > 0) extensions.push(new SubjectAlternativeNameExtension(names));
  return extensions;
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
}

async function exportPrivateKey(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  return await webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(pem), keyAlgorithm, false, ['sign']);
}
