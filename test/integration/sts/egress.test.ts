// The way out of the STS: what it refuses to dial, and what it makes of servers that do not behave.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAuthorizationServer, type AuthorizationServer } from '#test/authorization-server';
import { quietLogger } from '#test/quiet-logger';
import { createAuthority, issueCertificate } from '../../../dev/certificates.ts';
import { createEgress, type EgressOptions } from '../../../services/sts/outbound/egress/egress-undici.ts';
import { openEgress } from '../../../services/sts/outbound/egress/open-egress.ts';
import type { EgressOutcome } from '../../../services/sts/ports/egress.ts';

let server: AuthorizationServer;
let ca: string;
const host = 'idp.test';

beforeAll(async () => {
  const authority = await createAuthority({ commonName: 'an authority of providers' });
  ca = authority.certificatePem;
  const { certificatePem: cert, privateKeyPem: key } = await issueCertificate(authority, {
    commonName: host,
    dnsNames: [host],
  });
  server = await startAuthorizationServer({ tls: { key, cert }, host });
});
afterAll(async () => await server?.[Symbol.asyncDispose]());

type Settings = Partial<EgressOptions> & { readonly addresses?: readonly string[] };

/** By default the server's name resolves to this machine, and dev allows that. */
function egress({ addresses = ['127.0.0.1'], ...options }: Settings = {}) {
  return createEgress({
    own: () => ({ endpoints: [] }),
    denied: [],
    rules: { loopbackHosts: [{ host, port: undefined }], privateHosts: [], plaintext: 'loopback' },
    resolve: async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    ca: [ca],
    ...options,
  });
}

const get = async (settings: Settings, url = `${server.url}/call`): Promise<EgressOutcome> =>
  egress(settings).request({ zoneId: 'z', url, method: 'GET' });
const refusedBy = async (settings: Settings, url?: string): Promise<string | undefined> => {
  const outcome = await get(settings, url);
  return outcome.kind === 'failed' && outcome.fault === 'not_allowed' ? outcome.rule : JSON.stringify(outcome);
};

describe('the way out', () => {
  test('reaches a server over https whose certificate is good, and no other', async () => {
    expect(await get({})).toMatchObject({ kind: 'answered', status: 401, mediaType: 'application/json' });
    expect(await get({ ca: undefined })).toEqual({ kind: 'failed', fault: 'unreachable' });
    const other = server.url.replace(host, 'other.test');
    const rules = {
      loopbackHosts: [{ host: 'other.test', port: undefined }],
      privateHosts: [],
      plaintext: 'loopback',
    } as const;
    expect(await get({ rules }, other)).toEqual({ kind: 'failed', fault: 'unreachable' });
  });

  test.each([
    ['cloud metadata', '169.254.169.254'],
    ['carrier-grade NAT', '100.64.1.1'],
    ['link-local', 'fe80::1'],
    ['metadata in a private range', 'fd00:ec2::254'],
    ['NAT64 of metadata', '64:ff9b::a9fe:a9fe'],
    ['IPv4-mapped metadata', '::ffff:169.254.169.254'],
    ['6to4', '2002:a9fe:a9fe::1'],
    ['Teredo', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
    ['multicast', '224.0.0.1'],
    ['unspecified', '0.0.0.0'],
    ['a private range', '10.0.0.7'],
    ['NAT64 of a private range', '64:ff9b::a00:7'],
    ['a unique local address', 'fd12::1'],
  ])('never leads to %s', async (_what, address) => {
    expect(await refusedBy({ addresses: [address] })).toMatch(/^(blocked range|private range)/);
    // One bad address among good ones condemns the name.
    expect(await refusedBy({ addresses: ['127.0.0.1', address] })).toMatch(/^(blocked range|private range)/);
    const literal = address.includes(':') ? `[${address}]` : address;
    expect(await refusedBy({}, `https://${literal}/`)).toMatch(/^(blocked range|private range)/);
  });

  test('never leads to this machine unless dev names the host', async () => {
    const rules = { loopbackHosts: [], privateHosts: [{ host, port: undefined }], plaintext: 'loopback' } as const;
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect(await refusedBy({ rules, addresses: [address] })).toBe('loopback');
    }
  });

  test('judges the address it dials and not the one it looked at before', async () => {
    let asked = 0;
    const resolve: EgressOptions['resolve'] = async () => {
      asked += 1;
      return [{ address: asked === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }];
    };
    const out = egress({ resolve });
    const ask = async (): Promise<EgressOutcome> =>
      out.request({ zoneId: 'z', url: `${server.url}/call`, method: 'GET' });
    expect((await ask()).kind).toBe('answered');
    expect(await ask()).toMatchObject({ kind: 'failed', fault: 'not_allowed' });
  });

  test.each(['ftp://idp.test/', 'file:///etc/passwd', 'https://user:secret@idp.test/', 'nothing'])(
    'takes no %s',
    async (url) => {
      expect(await get({}, url)).toMatchObject({ kind: 'failed', fault: 'not_allowed' });
    },
  );

  test('sends nothing unencrypted but to this machine', async () => {
    const rules = { loopbackHosts: [], privateHosts: [{ host, port: undefined }], plaintext: 'loopback' } as const;
    expect(await refusedBy({ rules, addresses: ['10.0.0.7'] }, 'http://idp.test/')).toBe('not encrypted');
    expect(await refusedBy({ rules, addresses: ['8.8.8.8'] }, 'http://idp.test/')).toBe('not encrypted');
  });

  test('follows no redirect', async () => {
    server.trouble = 'redirect';
    const outcome = await egress().request({ zoneId: 'z', url: `${server.url}/token`, method: 'POST', body: 'a=b' });
    server.trouble = 'none';
    expect(outcome).toMatchObject({ kind: 'answered', status: 307 });
    expect(server.calls.some(({ path }) => path === '/elsewhere')).toBe(false);
  });

  test('reads no more than it asked for', async () => {
    server.trouble = 'huge';
    const request = { zoneId: 'z', url: `${server.url}/token`, method: 'POST', body: '' } as const;
    expect(await egress().request(request)).toEqual({ kind: 'failed', fault: 'too_large' });
    expect(await egress().request({ ...request, maxBytes: 200_000 })).toMatchObject({ kind: 'answered' });
    server.trouble = 'none';
  });

  test('tells a connection that broke from one that never was', async () => {
    server.trouble = 'hang_up';
    const request = { zoneId: 'z', url: `${server.url}/token`, method: 'POST', body: '' } as const;
    expect(await egress().request(request)).toEqual({ kind: 'failed', fault: 'broken' });
    server.trouble = 'none';
    const nobody = { zoneId: 'z', url: `https://${host}:1/`, method: 'GET' } as const;
    expect(await egress().request(nobody)).toEqual({ kind: 'failed', fault: 'unreachable' });
  });

  test('waits no longer than it is told', async () => {
    server.trouble = 'silence';
    const request = { zoneId: 'z', url: `${server.url}/token`, method: 'POST', body: '', timeoutMs: 200 } as const;
    expect(await egress().request(request)).toEqual({ kind: 'failed', fault: 'timeout' });
    server.trouble = 'none';
  });

  test('one zone’s slow server takes no place of another’s', async () => {
    server.trouble = 'silence';
    const out = egress();
    const slow = Array.from({ length: 60 }, async () =>
      out.request({ zoneId: 'a', url: `${server.url}/token`, method: 'POST', body: '', timeoutMs: 1500 }),
    );
    expect(await out.request({ zoneId: 'b', url: `${server.url}/call`, method: 'GET' })).toMatchObject({ status: 401 });
    const faults = (await Promise.all(slow)).map((outcome) => (outcome.kind === 'failed' ? outcome.fault : 'none'));
    expect(faults).toContain('crowded');
    server.trouble = 'none';
  });

  test('never leads to what the process itself was given', async () => {
    const store = createServer((_request, response) => response.end('a store'));
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
    const { port } = store.address() as AddressInfo;
    const settings = {
      upstreamHostDenylist: ['denied.test'],
      upstreamDevLoopbackHosts: ['127.0.0.1', 'denied.test'],
      privateEgressHosts: [],
      egressCaFile: undefined,
    };
    const ownUrls = [`redis://secret@127.0.0.1:${port}`, undefined];
    await using opened = openEgress({ settings, ownUrls, ownPort: 1, logger: quietLogger() });
    const ask = async (url: string): Promise<EgressOutcome> =>
      opened.egress.request({ zoneId: 'z', url, method: 'GET' });
    expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({
      fault: 'not_allowed',
      rule: 'the installation itself',
    });
    expect(await ask('http://127.0.0.1:1/')).toMatchObject({ fault: 'not_allowed', rule: 'the installation itself' });
    expect(await ask('https://denied.test/')).toMatchObject({ fault: 'not_allowed', rule: 'in the denylist' });
    await new Promise((resolve) => store.close(resolve));
  });

  test('takes no notice of proxies in the environment', async () => {
    const before = { ...process.env };
    Object.assign(process.env, { HTTPS_PROXY: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1' });
    expect(await get({})).toMatchObject({ kind: 'answered' });
    process.env = before;
  });
});
