import { describe, expect, test } from 'vitest';
import { inWords } from './approval.ts';

const targets = [{ resource: 'resource://pay', scopes: ['pay', 'read'] }];

describe('an approval in words', () => {
  test('says who will do what on what, for whom', () => {
    const call = { kind: 'gateway_call', method: 'POST', path: '/pay', arguments_digest: 'a'.repeat(64) } as const;
    expect(inWords({ applicationId: 'app', subject: 'user:i:ann', operation: call, targets })).toBe(
      'Application app, for user:i:ann, will once call POST /pay (arguments sha256:aaaaaaaaaaaaaaaa…) on resource://pay with pay, read.',
    );
    const session = { kind: 'token_exchange', use: 'ambient' } as const;
    const users = [{ resource: 'caracal:users', scopes: [] }];
    expect(inWords({ applicationId: 'app', subject: 'user:i:ann', operation: session, targets: users })).toBe(
      'Application app, for user:i:ann, will once get a mandate on caracal:users.',
    );
    const mint = { kind: 'token_exchange', use: 'per_call' } as const;
    expect(inWords({ applicationId: 'app', subject: 'app', operation: mint, targets: [...targets, ...targets] })).toBe(
      'Application app, in its own name, will once get a mandate for single calls on resource://pay with pay, read and resource://pay with pay, read.',
    );
  });
});
