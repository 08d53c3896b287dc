// Every reason of the catalogue survives the wire, and nothing private does.
import { Code, ConnectError } from '@connectrpc/connect';
import { errorToJson } from '@connectrpc/connect/protocol-connect';
import { describe, expect, test } from 'vitest';
import { FailureSchema } from '#gen/caracal/failure/v1/failure_pb';
import { catalogue, fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import { connectErrorOf, failureFromConnect } from './failure-detail.ts';

const reasons = Object.keys(catalogue) as FailureReason[];

test.each(reasons)('%s comes back as itself', (reason) => {
  const sent = fail(reason, {
    fields: [{ path: 'a', rule: 'b' }],
    details: { hint: 1 },
    retryAfterMs: 1200,
    privateDetail: 'innermost words',
    cause: new Error('unlucky words'),
  });
  const wire = connectErrorOf(sent, 'req');
  const back = failureFromConnect(wire);
  expect(back).toMatchObject({ reason, fields: sent.fields, details: sent.details, retryAfterMs: 1200 });
  expect(back.description).toBe(sent.description);
  expect(wire.findDetails(FailureSchema)[0]).toMatchObject({ requestId: 'req' });
  expect(JSON.stringify(errorToJson(wire, undefined))).not.toMatch(/innermost|unlucky/);
});

describe('errors without detail', () => {
  test('an unlisted error is internal and says nothing of itself', () => {
    const wire = connectErrorOf(new TypeError('secret'), 'req');
    expect(wire.code).toBe(Code.Internal);
    expect(wire.message).not.toContain('secret');
  });

  test('an absent peer is what its absence means to us', () => {
    const options = { unavailable: 'sts_unavailable' } as const;
    for (const code of [Code.Unavailable, Code.DeadlineExceeded, Code.Internal, Code.Canceled]) {
      expect(failureFromConnect(new ConnectError('x', code), options).reason).toBe('sts_unavailable');
    }
    expect(failureFromConnect(new ConnectError('x', Code.NotFound), options).reason).toBe('not_found');
    expect(failureFromConnect(new Error('socket'), options).reason).toBe('sts_unavailable');
  });

  test('details that are not JSON, or too large, are dropped and the failure stays', () => {
    const big = fail('conflict', { details: { text: 'x'.repeat(10_000) } });
    expect(failureFromConnect(connectErrorOf(big, 'r'))).toMatchObject({ reason: 'conflict', details: undefined });
    const broken = new ConnectError('x', Code.Aborted, undefined, [
      { desc: FailureSchema, value: { reason: catalogue.conflict.number, detailsJson: '{"a":' } },
    ]);
    expect(failureFromConnect(broken)).toMatchObject({ reason: 'conflict', details: undefined });
  });
});
