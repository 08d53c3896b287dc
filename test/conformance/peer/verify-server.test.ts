// Whom a client of a peer believes: the one service that is meant, unless INSECURE_STS says to believe anyone.
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { createPeerHttp, createPeerTransport } from '#mesh/rpc';
import { createTestAuthority, startMeshService, trustDomain } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

let authority: TestAuthority;
let foreign: TestAuthority;
let api: CertificateFiles;
let stranger: MeshService;
let audit: MeshService;

beforeAll(async () => {
  authority = await createTestAuthority();
  foreign = await createTestAuthority('foreign root');
  api = await authority.service('api');
  // Its certificate is nobody's we know; it knows ours, so that only our side has something to refuse.
  const strange = await foreign.service('audit');
  stranger = await startMeshService({ tls: { ...strange, caFile: api.caFile, ca: api.ca }, mode: 'dev' });
  audit = await startMeshService({ tls: await authority.service('audit'), mode: 'dev' });
});

afterAll(async () => {
  for (const part of [stranger, audit, authority, foreign]) await part[Symbol.asyncDispose]();
});

type Expected = 'audit' | 'sts';

const peer = (url: string, expectService: Expected, verifyServer?: boolean) => ({
  url,
  expectService,
  trustDomain,
  tls: { certFile: api.certFile, keyFile: api.keyFile, caFile: api.caFile, verifyServer },
});

async function answers(url: string, expectService: Expected, verifyServer?: boolean): Promise<readonly boolean[]> {
  await using transport = createPeerTransport(peer(url, expectService, verifyServer));
  await using http = createPeerHttp(peer(url, expectService, verifyServer));
  const calls = [createClient(Health, transport).check({}), http.get('/health')];
  return (await Promise.allSettled(calls)).map(({ status }) => status === 'fulfilled');
}

describe('a client of a peer', () => {
  test('speaks to the service that is meant', async () => {
    expect(await answers(audit.url, 'audit')).toEqual([true, true]);
  });

  test('refuses another service of the same installation, and one of a foreign authority', async () => {
    expect(await answers(audit.url, 'sts')).toEqual([false, false]);
    expect(await answers(stranger.url, 'audit')).toEqual([false, false]);
  });

  test('believes anyone only where it was told not to verify', async () => {
    expect(await answers(stranger.url, 'audit', false)).toEqual([true, true]);
    expect(await answers(stranger.url, 'audit', true)).toEqual([false, false]);
  });
});
