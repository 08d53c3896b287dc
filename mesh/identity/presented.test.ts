// What a request shows of its sender: token, proof, certificate.
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { anonymous, bindConnection, clientCertificateOf, presentedBearer } from './index.ts';
import type { ClientCertificate, Connection, ConnectionCaller, RawRequest } from './index.ts';

function requestWith(
  headers: Record<string, string | undefined>,
  certificate?: ClientCertificate,
  peer: ConnectionCaller = anonymous,
): RawRequest {
  const request = { headers, method: 'POST', url: '/path?query=1' } as unknown as IncomingMessage;
  const connection = { peer, certificate } as unknown as Connection;
  bindConnection(request, { connection, caller: peer });
  return request;
}

const thumbprint = 'c'.repeat(43);

describe('a client certificate', () => {
  it('may prove a mandate when it is nobody’s identity and is let through', () => {
    expect(clientCertificateOf(requestWith({}, { thumbprint, acceptable: true }))).toBe(thumbprint);
    expect(clientCertificateOf(requestWith({}))).toBeUndefined();
  });

  it('proves nothing when CLIENT_CA_FILE does not know it', () => {
    expect(clientCertificateOf(requestWith({}, { thumbprint, acceptable: false }))).toBeUndefined();
  });

  it('of a service or an operator proves no mandate', () => {
    const peers: ConnectionCaller[] = [
      { kind: 'peer', service: 'api', spiffeId: 'spiffe://x/caracal/api' },
      { kind: 'operator', name: 'jane' },
    ];
    for (const peer of peers) {
      expect(clientCertificateOf(requestWith({}, { thumbprint, acceptable: true }, peer))).toBeUndefined();
    }
  });

  it('of a request that no listener has seen proves nothing', () => {
    expect(clientCertificateOf({ headers: {} } as IncomingMessage)).toBeUndefined();
  });
});

describe('a presented bearer', () => {
  it.each([
    ['Bearer a.b.c', 'bearer'],
    ['bearer  a.b.c', 'bearer'],
    ['DPoP a.b.c', 'dpop'],
    ['dpop a.b.c ', 'dpop'],
  ])('%j is of scheme %s', (authorization, scheme) => {
    const presented = presentedBearer(requestWith({ authorization, dpop: 'proof' }, { thumbprint, acceptable: true }));
    expect(presented).toEqual({
      scheme,
      token: 'a.b.c',
      dpop: 'proof',
      method: 'POST',
      target: '/path?query=1',
      certificateThumbprint: thumbprint,
    });
  });

  it.each([undefined, '', 'Basic YTpi', 'DPoP', 'DPoP a b', 'Bearer a, DPoP b', `DPoP ${'a'.repeat(9000)}`])(
    '%j is none',
    (authorization) => {
      expect(presentedBearer(requestWith({ authorization }))).toBeUndefined();
    },
  );
});
