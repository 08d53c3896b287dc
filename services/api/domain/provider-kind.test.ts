import { describe, expect, test } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { neededSecrets, providerKinds, providerProblems, type ProviderKind } from './provider-kind.ts';

const rules = { plainLoopback: false };
const oauth = { token_url: 'https://idp.test/token', client_id: 'us' };
const code = { ...oauth, authorization_url: 'https://idp.test/authorize', redirect_uris: ['https://admin.test/back'] };

function problems(kind: ProviderKind, config: JsonObject, given: Record<string, string> = {}): string[] {
  const known = neededSecrets(kind, config).filter((name) => given[name] === undefined);
  return providerProblems({ kind, config, given, known }, rules).map(({ path }) => path);
}

describe('a provider', () => {
  test.each(['Host', 'content-length', 'X-Caracal-Identity', 'x-forwarded-for', 'Proxy-Authorization', 'cookie'])(
    'puts no credential into %s',
    (header_name) => expect(problems('api_key', { header_name })).toEqual(['config.header_name']),
  );

  test('may put its credential into Authorization, into headers of the upstream and into its query', () => {
    expect(problems('bearer_token', { header_name: 'authorization' })).toEqual([]);
    expect(problems('api_key', { header_name: 'x-api-key' })).toEqual([]);
    expect(problems('api_key', { auth_location: 'query', query_param_name: 'key' })).toEqual([]);
    expect(problems('api_key', { query_param_name: 'key' })).toEqual(['config.query_param_name']);
    expect(problems('api_key', { auth_location: 'query' })).toEqual(['config.query_param_name']);
    const both = { auth_location: 'query', query_param_name: 'key', header_name: 'x-key' };
    expect(problems('api_key', both)).toEqual(['config.auth_location']);
  });

  test('takes the secrets of its kind and no others, and misses those it needs', () => {
    expect(problems('none', {}, { token: 'x' })).toEqual(['secrets']);
    expect(problems('api_key', {}, { token: 'x' })).toEqual(['secrets']);
    for (const kind of providerKinds) {
      const found = providerProblems({ kind, config: {}, given: {} }, rules);
      expect(found.map(({ path }) => path)).toEqual(neededSecrets(kind, {}).map((name) => `secrets.${name}`));
    }
  });

  test('needs what proves its client the way it is registered', () => {
    const missing = (client_authentication: string): string[] =>
      providerProblems(
        { kind: 'oauth2_client_credentials', config: { ...oauth, client_authentication }, given: {} },
        rules,
      ).map(({ path }) => path);
    expect(missing('client_secret_post')).toEqual(['secrets.client_secret']);
    expect(missing('private_key_jwt')).toEqual(['secrets.private_key']);
    expect(missing('none')).toEqual([]);
  });

  test.each(['a\r\nX-Evil: 1', 'a\u0000', ' a', 'a ', 'é', ''])(
    'takes no secret that is no header value: %j',
    (token) => expect(problems('bearer_token', {}, { token })).toEqual(['secrets.token']),
  );

  test('takes a private key in PEM and nothing that only begins like one', () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
    const given = (private_key: string): string[] => problems('oauth2_client_credentials', oauth, { private_key });
    expect(given(pem)).toEqual([]);
    for (const bad of ['AAAA', `${pem}${pem}`, pem.replaceAll('PRIVATE', 'RSA PRIVATE')]) {
      expect(given(bad)).toEqual(['secrets.private_key']);
    }
  });
});

describe('an OAuth provider', () => {
  test.each([
    'http://idp.test/token',
    'https://user@idp.test/token',
    'https://idp.test/token#x',
    'ftp://idp.test/token',
    'http://127.0.0.1/token',
    'idp.test/token',
  ])('asks no tokens at %s', (token_url) => {
    expect(problems('oauth2_client_credentials', { ...oauth, token_url })).toEqual(['config.token_url']);
  });

  test('may be on this machine in dev', () => {
    const config = { ...oauth, token_url: 'http://127.0.0.1:9000/token' };
    const parts = { kind: 'oauth2_client_credentials', config, given: { client_secret: 's' } } as const;
    expect(providerProblems(parts, { plainLoopback: true })).toEqual([]);
    const elsewhere = { ...config, token_url: 'http://idp.test/token' };
    expect(providerProblems({ ...parts, config: elsewhere }, { plainLoopback: true })).toHaveLength(1);
  });

  test('names the host of its token endpoint where it names hosts', () => {
    const at = (allowed_token_hosts: string[]): string[] =>
      problems('oauth2_authorization_code', { ...code, allowed_token_hosts });
    expect(at(['idp.test'])).toEqual([]);
    expect(at(['IDP.test:443'])).toEqual([]);
    expect(at(['other.test', 'idp.test:8443'])).toEqual(['config.allowed_token_hosts']);
  });

  test('sends people back over https or to their own machine', () => {
    const at = (uri: string): string[] => problems('oauth2_authorization_code', { ...code, redirect_uris: [uri] });
    for (const good of ['https://admin.test/back?x=1', 'http://127.0.0.1:7777/back']) expect(at(good)).toEqual([]);
    for (const bad of ['http://admin.test/back', 'https://admin.test/#x', 'javascript:alert(1)', '/back']) {
      expect(at(bad)).toEqual(['config.redirect_uris.0']);
    }
  });

  test.each(['grant_type', 'client_secret', 'Code_Verifier', 'scope'])(
    'does not set %s of token requests itself',
    (name) => {
      const config = { ...oauth, token_params: { [name]: 'x' } };
      expect(problems('oauth2_client_credentials', config)).toEqual([`config.token_params.${name}`]);
    },
  );

  test.each(['state', 'redirect_uri', 'code_challenge_method', 'request_uri'])(
    'does not set %s for people itself',
    (name) => {
      const config = { ...code, authorization_params: { [name]: 'x', prompt: 'consent' } };
      expect(problems('oauth2_authorization_code', config)).toEqual([`config.authorization_params.${name}`]);
    },
  );
});
