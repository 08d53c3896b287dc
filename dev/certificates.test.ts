import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { createAuthority, issueCertificate } from './certificates.ts';
import type { Authority } from './certificates.ts';

const uri = 'spiffe://caracal.test/caracal/sts';

interface Handshake {
  serverSawUri: string | undefined;
  serverAuthorized: boolean;
  clientSawUri: string | undefined;
}

/** One mutual handshake over loopback; rejects with the client's error when the chain is not accepted. */
async function handshake(trusted: Authority, server: Authority, client: Authority): Promise<Handshake> {
  const listener = createServer({
    key: server.privateKeyPem,
    cert: server.certificatePem,
    ca: trusted.certificatePem,
    requestCert: true,
    rejectUnauthorized: false,
  });
  listener.on('tlsClientError', () => undefined);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  try {
    const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    const socket = connect({
      port,
      host: '127.0.0.1',
      key: client.privateKeyPem,
      cert: client.certificatePem,
      ca: trusted.certificatePem,
    });
    await once(socket, 'secureConnect');
    const [peer] = await accepted;
    const result: Handshake = {
      serverAuthorized: peer.authorized,
      serverSawUri: peer.getPeerX509Certificate()?.subjectAltName,
      clientSawUri: socket.getPeerX509Certificate()?.subjectAltName,
    };
    socket.destroy();
    peer.destroy();
    return result;
  } finally {
    listener.close();
  }
}

test('makes a chain that mutual TLS accepts and whose URI names both sides report', async () => {
  const authority = await createAuthority({ commonName: 'Caracal test CA' });
  const server = await issueCertificate(authority, { commonName: 'sts', uris: [uri], ipAddresses: ['127.0.0.1'] });
  const client = await issueCertificate(authority, {
    commonName: 'gateway',
    uris: ['spiffe://caracal.test/caracal/gateway'],
  });

  const seen = await handshake(authority, server, client);

  expect(seen.serverAuthorized).toBe(true);
  expect(seen.serverSawUri).toBe('URI:spiffe://caracal.test/caracal/gateway');
  expect(seen.clientSawUri).toBe(`URI:${uri}, IP Address:127.0.0.1`);
});

test('makes roots that do not accept each other', async () => {
  const [ours, foreign] = await Promise.all([
    createAuthority({ commonName: 'Caracal test CA' }),
    createAuthority({ commonName: 'Caracal test CA' }),
  ]);
  const server = await issueCertificate(foreign, { commonName: 'sts', ipAddresses: ['127.0.0.1'] });
  const client = await issueCertificate(ours, { commonName: 'gateway' });
  await expect(handshake(ours, server, client)).rejects.toThrow(/certificate|signature/i);
});

test('lets a server see that a client certificate has expired', async () => {
  const authority = await createAuthority({ commonName: 'Caracal test CA' });
  const server = await issueCertificate(authority, { commonName: 'sts', ipAddresses: ['127.0.0.1'] });
  const client = await issueCertificate(authority, {
    commonName: 'gateway',
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2020-02-01T00:00:00Z'),
  });
  expect((await handshake(authority, server, client)).serverAuthorized).toBe(false);
});

test('gives a leaf the profile of RFC 5280: identifiers that link it to its root, both usages, no authority', async () => {
  const authority = await createAuthority({ commonName: 'Caracal test CA', days: 2 });
  const issued = await issueCertificate(authority, {
    commonName: 'sts',
    uris: [uri, `${uri}-second`],
    dnsNames: ['localhost'],
  });
  const leaf = new X509Certificate(issued.certificatePem);
  const root = new X509Certificate(authority.certificatePem);
  expect(leaf.ca).toBe(false);
  expect(root.ca).toBe(true);
  expect(leaf.checkIssued(root)).toBe(true);
  expect(leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  expect(leaf.subjectAltName).toBe(`URI:${uri}, URI:${uri}-second, DNS:localhost`);
  expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
});

test('restricts the extended usages to those asked for', async () => {
  const authority = await createAuthority({ commonName: 'Caracal test CA' });
  const issued = await issueCertificate(authority, { commonName: 'sts', usages: ['serverAuth'] });
  expect(new X509Certificate(issued.certificatePem).keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
});
