import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { movesTokens, reachProblems } from './credential-reach.ts';
import type { ProviderKind } from './provider-kind.ts';

const oauth = { token_url: 'https://idp.test/token', client_id: 'us' };

interface Change {
  readonly before: JsonObject;
  readonly after: JsonObject;
  readonly given?: Record<string, string>;
}

function asked(kind: ProviderKind, { given = {}, ...change }: Change): string[] {
  return reachProblems(kind, change, given).map(({ path }) => path);
}

describe('the secrets of a provider', () => {
  it('are asked for again when token requests would go to another host', () => {
    const at = (token_url: string): string[] =>
      asked('oauth2_client_credentials', { before: oauth, after: { ...oauth, token_url } });
    for (const same of ['https://idp.test/other', 'https://IDP.test:443/token']) expect(at(same)).toEqual([]);
    for (const other of ['https://evil.test/token', 'https://idp.test:8443/token', 'http://idp.test/token']) {
      expect(at(other)).toEqual(['secrets.client_secret']);
    }
    const moved = { ...oauth, token_url: 'https://evil.test/token' };
    expect(asked('oauth2_client_credentials', { before: oauth, after: moved, given: { client_secret: 's' } })).toEqual(
      [],
    );
    expect(movesTokens(oauth, moved)).toBe(true);
  });

  it('are asked for again when the credential could go to other upstreams', () => {
    const at = (before: string[] | undefined, after: string[] | undefined): string[] =>
      asked('bearer_token', {
        before: before ? { allowed_hosts: before } : {},
        after: after ? { allowed_hosts: after } : {},
      });
    expect(at(['a.test', 'b.test'], ['B.test'])).toEqual([]);
    expect(at(undefined, ['a.test'])).toEqual([]);
    expect(at(['a.test'], ['a.test', 'b.test'])).toEqual(['secrets.token']);
    expect(at(['a.test'], undefined)).toEqual(['secrets.token']);
  });

  it('are not asked of kinds that have none', () => {
    expect(asked('caracal_mandate', { before: { allowed_hosts: ['a.test'] }, after: {} })).toEqual([]);
  });
});
