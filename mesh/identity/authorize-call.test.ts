// The table of topology, enforced: every RPC for every caller.
import { describe, expect, test } from 'vitest';
import { rpcs, services } from '#mesh/topology';
import { acceptsBearer, authorizeCall, judgeCall } from './authorize-call.ts';
import { anonymous } from './caller.ts';
import type { Caller } from './caller.ts';

const callers: [string, Caller][] = [
  ...services.map((service): [string, Caller] => [service, { kind: 'peer', service, spiffeId: 'x' }]),
  ['operator', { kind: 'operator', name: 'olga' }],
  ['bearer', { kind: 'bearer', mandate: {} }],
];

describe.each(Object.entries(rpcs))('%s', (rpc, rule) => {
  test.each(callers)('is open to %s exactly when the table says so', (role, caller) => {
    const named: readonly string[] = rule.callers;
    const isOpen = named.includes('anyone') || named.includes(role);
    expect(judgeCall(caller, rpc).kind).toBe(isOpen ? 'allowed' : 'refused');
  });

  test('is open to strangers and proxies only when it is open to anyone', () => {
    const isOpen = rule.callers.includes('anyone');
    const stranger = judgeCall(anonymous, rpc);
    expect(stranger).toEqual(isOpen ? { kind: 'allowed' } : { kind: 'refused', reason: 'unauthenticated' });
    expect(judgeCall({ kind: 'envoy', name: 'edge' }, rpc).kind).toBe(isOpen ? 'allowed' : 'refused');
  });
});

test.each(['', 'caracal.sts.v1.StsService/Nope', '__proto__', 'constructor', 'toString'])(
  'an RPC the table does not know (%s) is refused for everyone',
  (rpc) => {
    for (const [, caller] of callers) expect(judgeCall(caller, rpc)).toMatchObject({ reason: 'permission_denied' });
    expect(acceptsBearer(rpc)).toBe(false);
  },
);

test('a refusal is reported with its caller and thrown', () => {
  const refused: unknown[] = [];
  const rpc = 'caracal.sts.v1.StsService/Authorize';
  const call = () => authorizeCall(anonymous, rpc, { onRefused: (each) => refused.push(each) });
  expect(call).toThrow(expect.objectContaining({ reason: 'unauthenticated' }));
  expect(refused).toEqual([{ caller: anonymous, rpc, reason: 'unauthenticated' }]);
});

test('what is declared open beyond the table is open, and nothing else', () => {
  const openRpcs = new Set(['grpc.reflection.v1.ServerReflection/ServerReflectionInfo']);
  expect(judgeCall(anonymous, [...openRpcs][0]!, { openRpcs }).kind).toBe('allowed');
  expect(judgeCall(anonymous, 'caracal.audit.v1.AuditService/GetTrace', { openRpcs }).kind).toBe('refused');
});
