import { describe, expect, test } from 'vitest';
import { missingSecrets, providerKinds, providerProblems, secretNames } from './provider-kind.ts';

describe('a provider', () => {
  test.each(['Host', 'content-length', 'X-Caracal-Identity', 'x-forwarded-for', 'Proxy-Authorization', 'cookie'])(
    'puts no credential into %s',
    (header) => {
      expect(providerProblems('api_key', { header_name: header }, {})).toHaveLength(1);
    },
  );

  test('may put its credential into Authorization and into headers of the upstream', () => {
    expect(providerProblems('bearer_token', { header_name: 'authorization' }, { token: 'x' })).toEqual([]);
    expect(providerProblems('api_key', { header_name: 'x-api-key' }, { api_key: 'x' })).toEqual([]);
  });

  test('takes the secrets of its kind and no others', () => {
    expect(providerProblems('none', {}, { token: 'x' })).toHaveLength(1);
    expect(providerProblems('api_key', {}, { token: 'x' })).toHaveLength(1);
    for (const kind of providerKinds) expect(missingSecrets(kind, {})).toHaveLength(secretNames[kind].length);
  });

  test.each(['a\r\nX-Evil: 1', 'a\u0000', ' a', 'a ', 'é', ''])(
    'takes no secret that is no header value: %j',
    (token) => {
      expect(providerProblems('bearer_token', {}, { token })).toEqual([
        { path: 'secrets.token', rule: 'visible ASCII on one line' },
      ]);
    },
  );
});
