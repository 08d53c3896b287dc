// WatchRevocations (sts.proto) as a verifier outside the installation uses it: by a gRPC client that is not ours, and by a
// Connect client.
import { readFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import type { ClientHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { createClient, ConnectError, Code } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { credentials, makeGenericClientConstructor, Metadata, status } from '@grpc/grpc-js';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { StsService, WatchRevocationsRequestSchema, WatchRevocationsResponseSchema } from '#gen/caracal/sts/v1/sts_pb';
import type { WatchRevocationsResponse } from '#gen/caracal/sts/v1/sts_pb';
import { newId } from '#mesh/ids';
import { holderKey, makeProof } from '../../support/proofs.ts';
import { allowAll, claimsOf, form, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let otherZone: TestZone;
let app: TestApplication;
let ca: Buffer;
const calendar = 'resource://calendar';
const patience = { timeout: 30_000, interval: 20 };

beforeAll(async () => {
  sts = await startSts();
  [zone, otherZone] = [await sts.zone(), await sts.zone()];
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['any:read'] });
  await sts.policy(zone, [allowAll]);
  ca = readFileSync(join(sts.installation.tlsFolder, 'ca.pem'));
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

async function mint(fields: FormFields = {}): Promise<string> {
  return String((await sts.token(app, { resource: calendar, ...fields })).body['access_token']);
}

const claims = (token: string) => claimsOf({ body: { access_token: token }, status: 200, headers: {} });

async function revoke(zoneId: string, anchors: readonly { kind: string; anchor: string }[]): Promise<number> {
  const rows = await sts.inZone<{ number: string }>(zoneId, 'SELECT sts_pub.revoke($1, $2, $3) AS number', [
    zoneId,
    JSON.stringify(anchors),
    'test',
  ]);
  return Number(rows[0]?.number);
}

interface Watcher extends AsyncDisposable {
  readonly frames: WatchRevocationsResponse[];
  /** Set when the stream has ended: OK, or the error. */
  ended: ServiceError | 'ok' | undefined;
}

const path = '/caracal.sts.v1.StsService/WatchRevocations';
const WatchClient = makeGenericClientConstructor(
  {
    watch: {
      path,
      requestStream: false,
      responseStream: true,
      requestSerialize: (zoneId: string) =>
        Buffer.from(toBinary(WatchRevocationsRequestSchema, create(WatchRevocationsRequestSchema, { zoneId }))),
      requestDeserialize: (bytes: Buffer) => bytes,
      responseSerialize: (value: Buffer) => value,
      responseDeserialize: (bytes: Buffer) => fromBinary(WatchRevocationsResponseSchema, bytes),
    },
  },
  'StsService',
);

/** A watcher on grpc-js, which knows nothing of our stack. */
function watch(token: string, zoneId = zone.id, dpop?: string): Watcher {
  const target = new URL(sts.url).host;
  const client = new WatchClient(target, credentials.createSsl(ca));
  const metadata = new Metadata();
  metadata.set('authorization', `${dpop === undefined ? 'Bearer' : 'DPoP'} ${token}`);
  if (dpop !== undefined) metadata.set('dpop', dpop);
  const call = client['watch'] as unknown as (
    this: unknown,
    zoneId: string,
    metadata: Metadata,
  ) => ClientReadableStream<WatchRevocationsResponse>;
  const stream = call.call(client, zoneId, metadata);
  const watcher: Watcher = {
    frames: [],
    ended: undefined,
    [Symbol.asyncDispose]: async () => {
      stream.cancel();
      client.close();
    },
  };
  stream.on('error', (error: ServiceError) => (watcher.ended ??= error));
  stream.on('data', (frame: WatchRevocationsResponse) => watcher.frames.push(frame));
  stream.on('end', () => (watcher.ended ??= 'ok'));
  return watcher;
}

async function ended(watcher: Watcher): Promise<ServiceError | 'ok'> {
  await vi.waitFor(() => expect(watcher.ended).toBeDefined(), patience);
  return watcher.ended ?? 'ok';
}

async function codeOf(watcher: Watcher): Promise<string> {
  const end = await ended(watcher);
  return end === 'ok' ? 'ok' : (status[end.code] ?? '');
}

/** A watcher on bare HTTP/2 that never reads: the flow window fills, and nothing more gets through. */
function unread(token: string): AsyncDisposable & { readonly stream: ClientHttp2Stream } {
  const session = connect(sts.url, { ca });
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc+proto',
    te: 'trailers',
    authorization: `Bearer ${token}`,
  });
  stream.on('error', () => undefined);
  const message = toBinary(WatchRevocationsRequestSchema, create(WatchRevocationsRequestSchema, { zoneId: zone.id }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([prefix, message]));
  return { stream, [Symbol.asyncDispose]: async () => session.destroy() };
}

/** What a verifier would hold after these frames. */
function held(frames: readonly WatchRevocationsResponse[]): ReadonlySet<string> {
  return new Set(
    frames.flatMap(({ frame }) =>
      frame.case === 'snapshot' || frame.case === 'revocations'
        ? frame.value.anchors.map(({ kind, id, number }) => `${kind} ${id} ${number}`)
        : [],
    ),
  );
}

const isComplete = ({ frames }: Watcher): boolean =>
  frames.some(({ frame }) => frame.case === 'snapshot' && frame.value.complete);

async function started(watcher: Watcher): Promise<void> {
  await vi.waitFor(() => expect(isComplete(watcher)).toBe(true), patience);
}

describe('a watcher', () => {
  it('gets what stands, then what comes, of its own zone alone', async () => {
    const before = newId();
    const numberBefore = await revoke(zone.id, [{ kind: 'jti', anchor: before }]);
    const token = await mint();
    await vi.waitFor(async () => {
      await using watcher = watch(token);
      await started(watcher);
      expect(held(watcher.frames)).toContain(`jti ${before} ${numberBefore}`);
    }, patience);
    await using watcher = watch(token);
    await started(watcher);
    const foreign = newId();
    await revoke(otherZone.id, [{ kind: 'jti', anchor: foreign }]);
    const after = newId();
    const number = await revoke(zone.id, [{ kind: 'session', anchor: after }]);
    await vi.waitFor(() => expect(held(watcher.frames)).toContain(`session ${after} ${number}`), patience);
    expect([...held(watcher.frames)].join()).not.toContain(foreign);
    const heads = watcher.frames.map(({ frame }) => Number(frame.value?.head));
    expect(heads).toEqual(heads.toSorted((one, other) => one - other));
  });

  it('hears a heartbeat each second that says how far the STS is', async () => {
    await using watcher = watch(await mint());
    await started(watcher);
    const number = await revoke(otherZone.id, [{ kind: 'jti', anchor: newId() }]);
    await vi.waitFor(() => {
      const beats = watcher.frames.filter(({ frame }) => frame.case === 'heartbeat');
      expect(beats.length).toBeGreaterThanOrEqual(3);
      const { frame } = beats.at(-1) ?? {};
      // A revocation of another zone counts too: the head is of the installation.
      expect(Number(frame?.value?.head)).toBeGreaterThanOrEqual(number);
      expect(frame?.case === 'heartbeat' && frame.value.fresh).toBe(true);
    }, patience);
  });

  it('gets a snapshot of thousands in several messages, the last of them marked', async () => {
    const crowded = await sts.zone();
    const watching = await sts.application(crowded);
    await sts.resource(crowded, { identifier: calendar, scopes: ['any:read'] });
    await sts.policy(crowded, [allowAll]);
    const token = String((await sts.token(watching, { resource: calendar })).body['access_token']);
    const anchors = Array.from({ length: 2500 }, () => ({ kind: 'jti', anchor: newId() }));
    await revoke(crowded.id, anchors);
    await vi.waitFor(async () => {
      await using watcher = watch(token, crowded.id);
      await started(watcher);
      const snapshots = watcher.frames.filter(({ frame }) => frame.case === 'snapshot');
      expect(held(snapshots).size).toBe(2500);
      expect(snapshots.map(({ frame }) => frame.case === 'snapshot' && frame.value.complete)).toEqual([
        false,
        false,
        true,
      ]);
    }, patience);
  });

  it('is served over Connect as over gRPC', async () => {
    const transport = createGrpcTransport({ baseUrl: sts.url, nodeOptions: { ca } });
    const client = createClient(StsService, transport);
    const headers = { authorization: `Bearer ${await mint()}` };
    const stop = new AbortController();
    const kinds: (string | undefined)[] = [];
    try {
      for await (const { frame } of client.watchRevocations({ zoneId: zone.id }, { headers, signal: stop.signal })) {
        kinds.push(frame.case);
        if (frame.case === 'heartbeat') break;
      }
    } finally {
      stop.abort();
    }
    expect(kinds[0]).toBe('snapshot');
    expect(kinds.at(-1)).toBe('heartbeat');
    const anonymous = client.watchRevocations({ zoneId: zone.id })[Symbol.asyncIterator]().next();
    await expect(anonymous).rejects.toSatisfy((error) => ConnectError.from(error).code === Code.Unauthenticated);
  });
});

describe('a stream', () => {
  it('ends with its mandate', async () => {
    await using watcher = watch(await mint({ ttl_seconds: '2' }));
    expect(await codeOf(watcher)).toBe('ok');
    expect(isComplete(watcher)).toBe(true);
  });

  it('ends at once when its mandate is revoked, having told of it', async () => {
    const token = await mint();
    await using watcher = watch(token);
    await started(watcher);
    const number = await revoke(zone.id, [{ kind: 'session', anchor: claims(token).sid }]);
    expect(await codeOf(watcher)).toBe('UNAUTHENTICATED');
    expect(held(watcher.frames)).toContain(`session ${claims(token).sid} ${number}`);
    await using again = watch(token);
    expect(await codeOf(again)).toBe('UNAUTHENTICATED');
  });

  it('is refused to another zone, to a per-call mandate, to a stranger, and to who shows nothing', async () => {
    const token = await mint();
    const perCall = String((await sts.token(app, { resource: calendar, subject_token: token })).body['access_token']);
    const refused = async (shown: string, zoneId = zone.id): Promise<string> => {
      await using watcher = watch(shown, zoneId);
      return await codeOf(watcher);
    };
    expect(await refused(token, otherZone.id)).toBe('UNAUTHENTICATED');
    expect(await refused(perCall)).toBe('UNAUTHENTICATED');
    expect(await refused('x.y.z')).toBe('UNAUTHENTICATED');
    expect(await refused(token, 'not an id')).toBe('INVALID_ARGUMENT');
    expect(await refused('')).toBe('UNAUTHENTICATED');
  });

  it('under a bound mandate needs its proof, once, for this very address', async () => {
    const issuer = String((await sts.get('/.well-known/oauth-authorization-server')).body['issuer']);
    const bound = await sts.application(zone, { senderConstraint: 'allowed' });
    const key = holderKey();
    const iat = (): number => Math.floor(Date.now() / 1000);
    const own = { zone_id: zone.id, client_id: bound.id, client_secret: bound.secret, resource: calendar };
    const body = form({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', ...own });
    const mintBound = async (nonce?: string): Promise<Reply> =>
      sts.post('/oauth/2/token', body, {
        dpop: makeProof({ key, url: `${issuer}/oauth/2/token`, iat: iat(), nonce }),
      });
    // While Redis' memory is young, proofs need a nonce of ours.
    const first = await mintBound();
    const minted = first.status === 200 ? first : await mintBound(String(first.headers['dpop-nonce']));
    expect(minted.body).toMatchObject({ token_type: 'DPoP' });
    const token = String(minted.body['access_token']);
    const nonce = String(minted.headers['dpop-nonce']);
    const proof = (url = `${issuer}${path}`): string => makeProof({ key, url, iat: iat(), nonce, accessToken: token });
    const refused = async (dpop: string | undefined): Promise<string> => {
      await using watcher = watch(token, zone.id, dpop);
      return await codeOf(watcher);
    };
    const once = proof();
    await using watcher = watch(token, zone.id, once);
    await started(watcher);
    expect(await refused(once)).toBe('UNAUTHENTICATED');
    expect(await refused(undefined)).toBe('UNAUTHENTICATED');
    expect(await refused(proof(`${issuer}/oauth/2/token`))).toBe('UNAUTHENTICATED');
    expect(await refused('x.y.z')).toBe('UNAUTHENTICATED');
  });

  it('is one of so many of its zone; the others wait, and other zones do not', async () => {
    const token = await mint();
    await using stack = new AsyncDisposableStack();
    const watchers = Array.from({ length: 80 }, () => stack.use(watch(token)));
    await vi.waitFor(() => {
      const done = watchers.filter((watcher) => watcher.ended !== undefined || isComplete(watcher));
      expect(done).toHaveLength(80);
    }, patience);
    const refused = watchers.filter(({ ended: end }) => end !== undefined && end !== 'ok');
    expect(refused.length).toBeGreaterThanOrEqual(16);
    expect(new Set(refused.map(({ ended: end }) => (end as ServiceError).code))).toEqual(
      new Set([status.RESOURCE_EXHAUSTED]),
    );
    const neighbour = await sts.application(otherZone);
    await sts.resource(otherZone, { identifier: calendar, scopes: ['any:read'] });
    await sts.policy(otherZone, [allowAll]);
    const reply = await sts.post(
      '/oauth/2/token',
      form({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        zone_id: otherZone.id,
        client_id: neighbour.id,
        client_secret: neighbour.secret,
        resource: calendar,
      }),
    );
    await using free = watch(String(reply.body['access_token']), otherZone.id);
    await started(free);
  });

  it('is cut when nobody reads it, and the rest is served on', async () => {
    await using slow = unread(await mint());
    await using quick = watch(await mint());
    await started(quick);
    const last = newId();
    const many = Array.from({ length: 20_000 }, () => ({ kind: 'jti', anchor: newId() }));
    await revoke(zone.id, [...many, { kind: 'jti', anchor: last }]);
    await vi.waitFor(() => expect([...held(quick.frames)].join()).toContain(last), patience);
    await vi.waitFor(() => expect(slow.stream.rstCode).toBe(constants.NGHTTP2_CANCEL), patience);
    expect(quick.ended).toBeUndefined();
  });
});
