import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redacted } from './redaction.ts';

describe('redaction', () => {
  test('replaces credentials at any depth, whatever their names look like', () => {
    const event = {
      a: [{ Authorization: 'Bearer x', keep: 1 }],
      'Set-Cookie': 'c',
      nested: { API_KEY: { deep: 'x' } },
    };
    expect(redacted(event)).toEqual({
      a: [{ Authorization: '[redacted]', keep: 1 }],
      'Set-Cookie': '[redacted]',
      nested: { API_KEY: '[redacted]' },
    });
  });

  test('leaves ids of agent sessions, by which the ledger is read', () => {
    expect(redacted({ agent_session_id: 's', sid: 'r' })).toEqual({ agent_session_id: 's', sid: 'r' });
  });

  test('shows no planted secret in any document', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom('token', 'SECRET', 'client-secret'), (rest, name) => {
        const text = JSON.stringify(redacted({ rest: rest as never, list: [{ [name]: 'canary-7f3a' }] }));
        expect(text).not.toContain('canary-7f3a');
      }),
    );
  });
});
