// The flows about providers on ports in memory: what is kept, what is sent, what is recorded, and what is refused.
import { beforeEach, describe, expect, it } from 'vitest';
import { sha256, sha256Hex } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import type { AuditEventDraft } from '#mesh/trail';
import type { Provider } from '../../domain/directory.ts';
import { createConnectionAttemptsMemory, createConnectionsMemory } from '../../outbound/memory/connections-memory.ts';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import type { TokenOutcome, TokenRequest } from '../../ports/token-endpoint.ts';
import type { ConnectionDeps } from './connection-deps.ts';
import { providerFlows, type ProviderFlows } from './provider-flows.ts';

const asked = { requestId: 'r', traceId: undefined };
const redirectUri = 'https://admin.test/back';
const subject = 'user:0190:ada';
const granted: TokenOutcome = {
  kind: 'granted',
  tokens: { accessToken: 'canary-at', refreshToken: 'canary-rt', expiresInSeconds: 60, scopes: undefined },
};

let flows: ProviderFlows;
let deps: ConnectionDeps;
let zoneId: string;
let events: AuditEventDraft[];
let requests: TokenRequest[];
let outcome: TokenOutcome;
let provider: Provider;
let advance: (ms: number) => Promise<void>;

function configure(config: JsonObject, kind = 'oauth2_authorization_code'): void {
  const base = {
    token_url: 'https://idp.test/token',
    authorization_url: 'https://idp.test/authorize?tenant=t',
    redirect_uris: [redirectUri],
    client_id: 'us',
    scopes: ['a', 'b'],
  };
  provider = { ...provider, kind, config: { ...base, ...config }, version: provider.version + 1 };
}

beforeEach(() => {
  const { ports, zone } = createMemoryPorts();
  zoneId = zone.id;
  events = [];
  requests = [];
  outcome = granted;
  provider = { id: ports.newId(), zoneId, identifier: 'idp', kind: '', config: {}, secrets: [], version: 0 };
  configure({});
  const { clock } = ports;
  advance = async (ms) => clock.advance(ms);
  let filled = 0;
  deps = {
    ...ports,
    directory: {
      zone: ports.directory.zone,
      provider: async (_zone, id) => (id === provider.id ? provider : undefined),
    },
    connections: createConnectionsMemory(clock),
    connectionAttempts: createConnectionAttemptsMemory(clock),
    tokenEndpoint: {
      request: async (request) => {
        requests.push(request);
        return outcome;
      },
    },
    vault: { seal: (plaintext) => plaintext, open: (envelope) => envelope },
    evidence: {
      emit: async (draft) => {
        events.push(draft);
        return { eventId: 'e' };
      },
    },
    random: (bytes) => new Uint8Array(bytes).fill((filled += 1)),
    maxGrantTtlSeconds: 3600,
  };
  flows = providerFlows(deps);
});

const begin = async (fields: object = {}) =>
  flows.begin({ asked, zoneId, providerId: provider.id, subject, redirectUri, actorId: 'ada', ...fields });
const complete = async (state: string, fields: object = {}) =>
  flows.complete({ asked, zoneId, state, code: 'canary-code', issuer: '', actorId: 'ada', ...fields });
const refusedFor = (reason: string) => expect.objectContaining({ reason });

describe('a connection that is begun', () => {
  it('sends people to the provider with PKCE, the state and all that was configured', async () => {
    configure({
      authorization_params: { prompt: 'consent', state: 'mine' },
      audience: 'aud',
      resource: ['https://r.test'],
    });
    const { authorizationUrl, state, expiresAtMs } = await begin();
    const url = new URL(authorizationUrl);
    expect(url.origin + url.pathname).toBe('https://idp.test/authorize');
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      tenant: 't',
      response_type: 'code',
      client_id: 'us',
      redirect_uri: redirectUri,
      scope: 'a b',
      audience: 'aud',
      resource: 'https://r.test',
      prompt: 'consent',
      state,
      code_challenge_method: 'S256',
    });
    expect(state).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(expiresAtMs).toBe(deps.clock.now() + 600_000);
    await complete(state);
    const grant = requests[0]?.grant;
    if (grant?.kind !== 'authorization_code') throw new Error('no code was redeemed');
    expect(grant).toMatchObject({ code: 'canary-code', redirectUri });
    expect(url.searchParams.get('code_challenge')).toBe(sha256(grant.codeVerifier).toString('base64url'));
  });

  it('keeps the digest of its state alone', async () => {
    const { state } = await begin();
    const taken = await deps.connectionAttempts.take(zoneId, { stateDigest: sha256Hex(state), actorId: 'ada' });
    expect(taken).toMatchObject({ stateDigest: sha256Hex(state), subject, redirectUri, actorId: 'ada' });
    expect(JSON.stringify([taken, events])).not.toContain(state);
  });

  it.each([
    { redirectUri: `${redirectUri}?x=1` },
    { redirectUri: redirectUri.toUpperCase() },
    { subject: '' },
    { subject: 'someone' },
  ])('is refused for what the provider does not allow: %j', async (fields) => {
    await expect(begin(fields)).rejects.toEqual(refusedFor('invalid_request'));
    expect(events).toEqual([]);
  });

  it('is refused for providers that nobody connects to, and for those that are not there', async () => {
    configure({}, 'oauth2_client_credentials');
    await expect(begin()).rejects.toEqual(refusedFor('invalid_request'));
    await expect(begin({ providerId: 'nobody' })).rejects.toEqual(refusedFor('not_found'));
    configure({ connection: 'zone' });
    await expect(begin()).rejects.toEqual(refusedFor('invalid_request'));
    await expect(begin({ subject: '' })).resolves.toBeDefined();
  });
});

describe('a connection that is completed', () => {
  it('is kept for its subject, and says nothing of its tokens', async () => {
    const { state } = await begin();
    const completed = await complete(state);
    expect(completed).toMatchObject({ providerId: provider.id, subject, scopes: ['a', 'b'] });
    const key = { zoneId, providerId: provider.id, subject };
    expect(await deps.connections.read(key)).toMatchObject({ id: completed.connectionId, state: 'active' });
    expect(events.map(({ eventType }) => eventType)).toEqual(['connection.begun', 'connection.completed']);
    expect(JSON.stringify([completed, events])).not.toContain('canary');
  });

  it('is good once, for the actor who began, in the zone it was begun in, and for ten minutes', async () => {
    const { state } = await begin();
    await expect(complete(state, { actorId: 'bob' })).rejects.toEqual(refusedFor('invalid_request'));
    await expect(complete(state, { zoneId: 'elsewhere' })).rejects.toEqual(refusedFor('invalid_request'));
    await complete(state);
    await expect(complete(state)).rejects.toEqual(refusedFor('invalid_request'));
    const late = await begin();
    await advance(600_001);
    await expect(complete(late.state)).rejects.toEqual(refusedFor('invalid_request'));
    expect(requests).toHaveLength(1);
    const refusals = events.filter(({ eventType }) => eventType === 'connection.refused');
    expect(refusals.map(({ metadata }) => metadata?.['cause'])).toEqual(
      Array.from({ length: 4 }, () => 'unknown_state'),
    );
  });

  it.each([
    { configured: 'https://idp.test', given: 'https://other.test', good: false },
    { configured: 'https://idp.test', given: 'https://idp.test/', good: false },
    { configured: 'https://idp.test', given: '', good: false },
    { configured: undefined, given: 'https://idp.test', good: false },
    { configured: 'https://idp.test', given: 'https://idp.test', good: true },
    { configured: undefined, given: '', good: true },
  ])(
    'takes the answer of its own issuer alone (RFC 9207): $configured, $given',
    async ({ configured, given, good }) => {
      configure(configured === undefined ? {} : { issuer: configured });
      const { state } = await begin();
      const completing = complete(state, { issuer: given });
      await (good
        ? expect(completing).resolves.toBeDefined()
        : expect(completing).rejects.toEqual(refusedFor('invalid_request')));
      expect(requests).toHaveLength(good ? 1 : 0);
    },
  );

  it('is refused when its redirect address was taken back meanwhile', async () => {
    const { state } = await begin();
    configure({ redirect_uris: ['https://admin.test/other'] });
    await expect(complete(state)).rejects.toEqual(refusedFor('invalid_request'));
    expect(requests).toEqual([]);
  });

  it.each([
    [{ kind: 'refused', error: 'invalid_grant' }, 'invalid_request'],
    [{ kind: 'unavailable', cause: 'timeout' }, 'provider_unavailable'],
    [{ kind: 'forbidden', cause: 'loopback' }, 'credential_not_releasable'],
  ] as const)('keeps nothing where the provider gives nothing: %j', async (given, reason) => {
    outcome = given;
    const { state } = await begin();
    await expect(complete(state)).rejects.toEqual(refusedFor(reason));
    expect(await deps.connections.read({ zoneId, providerId: provider.id, subject })).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ eventType: 'connection.refused', metadata: { reason } });
  });
});

describe('a test of a provider', () => {
  const test = async () => flows.test({ asked, zoneId, providerId: provider.id, subject: '' });

  it('asks anew for a client’s own token, keeps nothing, and records what came of it', async () => {
    configure({}, 'oauth2_client_credentials');
    expect(await test()).toMatchObject({ reason: undefined, expiresAtMs: deps.clock.now() + 60_000 });
    expect(await deps.connections.read({ zoneId, providerId: provider.id, subject: '' })).toBeUndefined();
    outcome = { kind: 'refused', error: 'invalid_client' };
    expect(await test()).toMatchObject({ reason: 'credential_not_provisioned' });
    outcome = { kind: 'unavailable', cause: 'status_503' };
    expect(await test()).toMatchObject({ reason: 'provider_unavailable' });
    expect(events.map(({ metadata }) => [metadata?.['ok'], metadata?.['cause']])).toEqual([
      [true, undefined],
      [false, 'invalid_client'],
      [false, 'status_503'],
    ]);
    expect(JSON.stringify(events)).not.toContain('canary');
  });

  it('finds settings that cannot be used', async () => {
    configure({ token_url: 'not a url' }, 'oauth2_client_credentials');
    expect(await test()).toMatchObject({ reason: 'credential_not_releasable' });
    configure({ header_name: 'host' }, 'bearer_token');
    expect(await test()).toMatchObject({ reason: 'credential_not_releasable' });
  });
});
