// Credentials of OAuth providers against a real authorization server and a real database, with several replicas.
import { generateKeyPair, exportPKCS8 } from 'jose';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Failure } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { startAuthorizationServer, type AuthorizationServer, type Trouble } from '#test/authorization-server';
import type { Provider } from '../../../services/sts/domain/directory.ts';
import { oauthSettingsOf } from '../../../services/sts/domain/provider-settings.ts';
import type { ObtainedCredential } from '../../../services/sts/ports/provider-credentials.ts';
import { openProviderBed, type ProviderBed, type Replica } from './provider-bed.ts';

let server: AuthorizationServer;
let bed: ProviderBed;
const user = 'user:0190:someone';

beforeAll(async () => {
  server = await startAuthorizationServer();
  bed = await openProviderBed([server]);
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  server.seen.length = 0;
  Object.assign(server, { trouble: 'none', delayMs: 0, expiresInSeconds: 3600, rotates: true });
  bed.events.length = 0;
  bed.shiftMs = 0;
});

const client = (config: Record<string, unknown> = {}): Provider =>
  bed.provider('oauth2_client_credentials', server, config);
const obtain = async (replica: Replica, provider: Provider, subject = ''): Promise<ObtainedCredential> =>
  replica.providerCredentials.obtain({
    zoneId: bed.zoneId,
    provider,
    subject: subject === '' ? newId() : subject,
    subjectType: subject === '' ? 'application' : 'user',
  });
const reasonOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => (error as Failure).reason,
  );
const causeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => 'none',
    (error: unknown) => (error as Failure).privateDetail,
  );

/** A user's connection, as completing one leaves it. */
async function connect(replica: Replica, provider: Provider, lifeMs = 3_600_000): Promise<void> {
  const url = new URL(`${server.url}/authorize`);
  const verifier = 'v'.repeat(43);
  const params = {
    response_type: 'code',
    client_id: server.clientId,
    redirect_uri: 'https://admin.test/back',
    state: 's',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  const code = (await server.consent(url.toString())).searchParams.get('code') ?? '';
  const settings = oauthSettingsOf(provider);
  if (!settings) throw new Error('misconfigured');
  const grant = { kind: 'authorization_code', code, redirectUri: params.redirect_uri, codeVerifier: verifier } as const;
  const outcome = await replica.tokenEndpoint.request({ zoneId: bed.zoneId, provider, settings, grant });
  if (outcome.kind !== 'granted') throw new Error(`not granted: ${JSON.stringify(outcome)}`);
  await replica.connections.replace({ zoneId: bed.zoneId, providerId: provider.id, subject: user }, newId(), {
    accessToken: outcome.tokens.accessToken,
    refreshToken: outcome.tokens.refreshToken,
    providerVersion: 1,
    expiresAtMs: Date.now() + bed.shiftMs + lifeMs,
    scopes: [],
  });
}

describe('a client’s own token', () => {
  test('is asked for once by all calls of all replicas, and held from then on', async () => {
    server.delayMs = 150;
    const provider = client();
    const replicas = [bed.replica(), bed.replica(), bed.replica()];
    const all = await Promise.all(replicas.flatMap((one) => Array.from({ length: 20 }, () => obtain(one, provider))));
    expect(new Set(all.map(({ secret }) => secret)).size).toBe(1);
    expect(server.count('client_credentials')).toBe(1);
    await Promise.all(replicas.map((one) => obtain(one, provider)));
    expect(server.count('client_credentials')).toBe(1);
  });

  test('is replaced before it expires, and when the provider is configured anew', async () => {
    const provider = client();
    const replica = bed.replica();
    const first = await obtain(replica, provider);
    bed.shiftMs += 3_560_000;
    expect((await obtain(replica, provider)).secret).toBe(first.secret);
    bed.shiftMs += 15_000;
    const second = await obtain(replica, provider);
    expect(second.secret).not.toBe(first.secret);
    const third = await obtain(replica, { ...provider, version: 2 });
    expect(third.secret).not.toBe(second.secret);
    expect(server.count('client_credentials')).toBe(3);
  });

  test('is used for no longer than the cap, whatever life the provider gives it', async () => {
    server.expiresInSeconds = 864_000;
    const { expiresAtMs = 0 } = await obtain(bed.replica(), client());
    const lifeSeconds = (expiresAtMs - Date.now() - bed.shiftMs) / 1000;
    expect(lifeSeconds).toBeGreaterThan(3500);
    expect(lifeSeconds).toBeLessThanOrEqual(3600);
  });

  test('serves its last seconds while the provider is away', async () => {
    const provider = client();
    const replica = bed.replica();
    const held = await obtain(replica, provider);
    server.trouble = 'outage';
    bed.shiftMs += 3_580_000;
    expect((await obtain(replica, provider)).secret).toBe(held.secret);
    bed.shiftMs += 20_000;
    expect(await reasonOf(obtain(replica, provider))).toBe('provider_unavailable');
  });

  test('asks for the scopes, the audience, the resources and the parameters of its settings', async () => {
    const resource = ['https://a.test', 'https://b.test'];
    await obtain(bed.replica(), client({ audience: 'aud', resource, token_params: { tenant: 't' } }));
    const form = server.seen[0]?.form;
    expect(form?.get('scope')).toBe('read write');
    expect(form?.get('audience')).toBe('aud');
    expect(form?.getAll('resource')).toEqual(resource);
    expect(form?.get('tenant')).toBe('t');
  });

  test('is not asked for again at once where the client is refused, and is when it is configured anew', async () => {
    const provider = client();
    const replica = bed.replica();
    server.trouble = 'refusal';
    expect(await reasonOf(obtain(replica, provider))).toBe('credential_not_provisioned');
    expect(await reasonOf(obtain(replica, provider))).toBe('credential_not_provisioned');
    expect(server.count('client_credentials')).toBe(1);
    expect(bed.events).toMatchObject([{ eventType: 'connection.broken', metadata: { error: 'invalid_client' } }]);
    expect(JSON.stringify(bed.events)).not.toContain('canary');
    server.trouble = 'none';
    expect((await obtain(replica, { ...provider, version: 2 })).secret).toMatch(/^at-canary/);
  });
});

describe('the client is proven', () => {
  test.each(['client_secret_basic', 'client_secret_post'])('by %s', async (client_authentication) => {
    await obtain(bed.replica(), client({ client_authentication }));
    const [{ form, headers } = { form: new URLSearchParams(), headers: {} }] = server.seen;
    expect(form.has('client_secret')).toBe(client_authentication === 'client_secret_post');
    expect(headers.authorization?.startsWith('Basic ') ?? false).toBe(client_authentication === 'client_secret_basic');
  });

  test('by an assertion for the issuer alone, new for each request', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    await using keyed = await startAuthorizationServer({ clientKey: publicKey });
    await using own = await openProviderBed([keyed]);
    const rowId = newId();
    const location = { table: 'api.provider_secrets', column: 'envelope', rowId };
    const envelope = own.vault.seal(Buffer.from(await exportPKCS8(privateKey)), location);
    const config = { client_authentication: 'private_key_jwt', issuer: keyed.url, key_id: 'k' };
    const provider = {
      ...own.provider('oauth2_client_credentials', keyed, config),
      secrets: [{ name: 'private_key', rowId, envelope }],
    };
    const call = { zoneId: own.zoneId, provider, subject: '', subjectType: 'application' } as const;
    const replica = own.replica();
    expect((await replica.providerCredentials.obtain(call)).secret).toMatch(/^at-canary/);
    await replica.providerCredentials.obtain({ ...call, provider: { ...provider, version: 2 } });
    const assertions = keyed.seen.map(({ form }) => form.get('client_assertion'));
    expect(new Set(assertions).size).toBe(2);
    expect(keyed.seen.every(({ form }) => !form.has('client_secret'))).toBe(true);
  });

  test('not at all where the key does not fit', async () => {
    const provider = client({ client_authentication: 'private_key_jwt' });
    expect(await reasonOf(obtain(bed.replica(), provider))).toBe('credential_not_releasable');
    expect(server.seen).toEqual([]);
  });
});

describe('a user’s token', () => {
  const person = (config: Record<string, unknown> = {}): Provider =>
    bed.provider('oauth2_authorization_code', server, config);

  test('is theirs alone', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider);
    expect((await obtain(replica, provider, user)).secret).toMatch(/^at-canary/);
    expect(await reasonOf(obtain(replica, provider, `${user}-else`))).toBe('credential_not_provisioned');
    expect(await reasonOf(obtain(replica, provider))).toBe('credential_not_provisioned');
  });

  test('is refreshed once across replicas, and no rotated token is ever shown twice', async () => {
    const provider = person();
    const replicas = [bed.replica(), bed.replica()];
    await connect(replicas[0] as Replica, provider, 1);
    for (let round = 1; round <= 5; round += 1) {
      server.delayMs = 60;
      const all = await Promise.all(
        replicas.flatMap((one) => Array.from({ length: 10 }, () => obtain(one, provider, user))),
      );
      expect(new Set(all.map(({ secret }) => secret)).size).toBe(1);
      expect(server.count('refresh_token')).toBe(round);
      bed.shiftMs += 3_580_000;
      for (const one of replicas) one.forget();
    }
  });

  test('keeps its refresh token where the provider sends no other', async () => {
    server.rotates = false;
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider, 1);
    await obtain(replica, provider, user);
    bed.shiftMs += 3_600_000;
    expect((await obtain(replica, provider, user)).secret).toMatch(/^at-canary/);
    expect(server.count('refresh_token')).toBe(2);
  });

  test('is broken for good, and says so in the ledger, when the consent was taken back', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider, 1);
    server.withdraw();
    expect(await causeOf(obtain(replica, provider, user))).toBe('invalid_grant');
    expect(bed.events).toMatchObject([
      { eventType: 'connection.broken', zoneId: bed.zoneId, metadata: { subject: user, error: 'invalid_grant' } },
    ]);
    expect(await causeOf(obtain(bed.replica(), provider, user))).toBe('connection_broken');
    expect(server.count('refresh_token')).toBe(1);
    await connect(replica, provider);
    expect((await obtain(replica, provider, user)).secret).toMatch(/^at-canary/);
  });

  test('survives that our own client was refused, once the provider is configured anew', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider, 1);
    server.trouble = 'refusal';
    expect(await causeOf(obtain(replica, provider, user))).toBe('invalid_client');
    server.trouble = 'none';
    expect(await causeOf(obtain(replica, provider, user))).toBe('connection_broken');
    expect((await obtain(replica, { ...provider, version: 2 }, user)).secret).toMatch(/^at-canary/);
  });

  test('that was ended while it was being renewed is not given out', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider, 1);
    server.delayMs = 200;
    const obtaining = causeOf(obtain(replica, provider, user));
    await expect.poll(() => server.count('refresh_token')).toBe(1);
    await bed.sql(
      `UPDATE sts.provider_connections SET state = 'revoked', revoked_at = clock_timestamp(), access_envelope = NULL,
              refresh_envelope = NULL WHERE zone_id = $1 AND provider_id = $2`,
      [bed.zoneId, provider.id],
    );
    expect(await obtaining).toBe('connection_ended_meanwhile');
    expect(await bed.row(provider, user)).toBeUndefined();
  });

  test('is waited for while another replica renews it, and taken over when that one is gone', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider, 1);
    const key = { zoneId: bed.zoneId, providerId: provider.id, subject: user };
    expect(await replica.connections.lease(key, 'gone', 700)).toMatchObject({ kind: 'leased' });
    expect((await obtain(bed.replica(), provider, user)).secret).toMatch(/^at-canary/);
    expect(server.count('refresh_token')).toBe(1);
  });

  test('is sealed for its own column and row: moved, it opens nowhere', async () => {
    const provider = person();
    const replica = bed.replica();
    await connect(replica, provider);
    await bed.sql(
      'UPDATE sts.provider_connections SET access_envelope = refresh_envelope WHERE zone_id = $1 AND provider_id = $2',
      [bed.zoneId, provider.id],
    );
    replica.forget();
    expect(await causeOf(obtain(replica, provider, user))).toBe('does_not_open');
  });
});

describe('a provider in trouble', () => {
  test.each<Trouble>(['outage', 'hang_up', 'redirect', 'huge', 'garbage'])('gives nothing: %s', async (trouble) => {
    server.trouble = trouble;
    expect(await reasonOf(obtain(bed.replica(), client()))).toBe('provider_unavailable');
    expect(server.seen.every(({ form }) => form.get('grant_type') === 'client_credentials')).toBe(true);
  });

  test('is given up on after five seconds', async () => {
    const provider = bed.provider('oauth2_authorization_code', server);
    const replica = bed.replica();
    server.trouble = 'none';
    await connect(replica, provider, 1);
    server.trouble = 'silence';
    expect(await causeOf(obtain(replica, provider, user))).toBe('timeout');
    // It may have taken the refresh token: that is not shown again.
    expect(server.count('refresh_token')).toBe(1);
  });

  test('is shown a refresh token once where it hangs up, for it may have taken it', async () => {
    const provider = bed.provider('oauth2_authorization_code', server);
    const replica = bed.replica();
    await connect(replica, provider, 1);
    server.trouble = 'hang_up';
    expect(await causeOf(obtain(replica, provider, user))).toBe('broken');
    expect(server.count('refresh_token')).toBe(1);
    server.trouble = 'outage';
    bed.shiftMs += 1001;
    expect(await causeOf(obtain(replica, provider, user))).toBe('status_503');
    expect(server.count('refresh_token')).toBe(3);
  });

  test('is asked twice at most, and not at all for a moment after it failed', async () => {
    server.trouble = 'outage';
    const provider = client();
    const replica = bed.replica();
    expect(await reasonOf(obtain(replica, provider))).toBe('provider_unavailable');
    expect(server.count('client_credentials')).toBe(2);
    expect(await causeOf(obtain(replica, provider))).toBe('failed_just_now');
    expect(server.count('client_credentials')).toBe(2);
  });

  test('is left alone after five failures, and serves again when it has recovered', async () => {
    server.trouble = 'outage';
    const provider = client();
    const replica = bed.replica();
    for (let failure = 0; failure < 5; failure += 1) {
      expect(await causeOf(obtain(replica, provider))).toBe('status_503');
      bed.shiftMs += 1001;
    }
    const before = server.seen.length;
    expect(await causeOf(obtain(replica, provider))).toBe('circuit_open');
    expect(server.seen.length).toBe(before);
    server.trouble = 'none';
    // Another replica has its own experience with it.
    expect((await obtain(bed.replica(), provider)).secret).toMatch(/^at-canary/);
    // And this one's circuit lets a request through after a while.
    const next = { ...provider, version: 2 };
    const recovered = async (): Promise<string> => {
      bed.shiftMs += 1001;
      return reasonOf(obtain(replica, next));
    };
    await expect.poll(recovered, { interval: 200 }).toBe('none');
  });

  test('is not called at an address it may not have', async () => {
    for (const token_url of ['http://169.254.169.254/token', 'https://127.0.0.1:1/token', 'http://10.0.0.1/token']) {
      expect(await reasonOf(obtain(bed.replica(), client({ token_url })))).toBe('credential_not_releasable');
    }
    const elsewhere = client({ allowed_token_hosts: ['idp.test'] });
    expect(await causeOf(obtain(bed.replica(), elsewhere))).toBe('misconfigured');
    expect(server.seen).toEqual([]);
  });
});
