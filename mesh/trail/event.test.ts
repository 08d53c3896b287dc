// One event, one text: what is in it, what is left out, and that nothing an author passes on can spoil it.
import { hmacSha256Hex, parseStrictJson } from '#mesh/canonical';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditStreamFields, buildAuditEvent, signAuditEvent, type AuditEventDraft } from './index.ts';

const draft: AuditEventDraft = { zoneId: 'z-1', eventType: 'gateway.decision', requestId: 'r-1' };
const origin = {
  id: '01900000-0000-7000-8000-000000000001',
  producer: 'gateway',
  producerIncarnation: 'i-1',
  producerSeq: 3,
  nowMs: Date.UTC(2026, 0, 1, 12, 0, 0, 5),
};
const read = (text: string): unknown => parseStrictJson(text, { maxBytes: 1024 * 1024, maxDepth: 32 });

describe('an event', () => {
  it('has the names of the proto, microseconds, and a number', () => {
    const text = buildAuditEvent({ ...draft, decision: 'allow', determiningPolicies: ['p'] }, origin);
    expect(read(text)).toEqual({
      id: origin.id,
      zone_id: 'z-1',
      event_type: 'gateway.decision',
      request_id: 'r-1',
      decision: 'allow',
      determining_policies: ['p'],
      occurred_at: '2026-01-01T12:00:00.005000Z',
      producer: 'gateway',
      producer_incarnation: 'i-1',
      producer_seq: 3,
    });
  });

  it('is absent where it is silent', () => {
    const silent = { traceId: '', policySetId: undefined, diagnostics: [], metadata: {}, inputJson: '' };
    expect(buildAuditEvent({ ...draft, ...silent }, origin)).toBe(buildAuditEvent(draft, origin));
  });

  it('keeps the time of its author', () => {
    expect(read(buildAuditEvent({ ...draft, occurredAtMs: 0 }, origin))).toMatchObject({
      occurred_at: '1970-01-01T00:00:00.000000Z',
    });
  });

  it('is signed over its very text', () => {
    const key = Buffer.alloc(32, 1);
    const data = buildAuditEvent(draft, origin);
    const sig = signAuditEvent(data, key);
    expect(sig).toBe(hmacSha256Hex(key, data));
    expect(auditStreamFields({ id: origin.id, data, sig })).toEqual({ id: origin.id, data, sig });
  });

  it('is one line of strict JSON whatever the facts hold', () => {
    const facts = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }));
    fc.assert(
      fc.property(facts, fc.string({ unit: 'binary' }), (metadata, requestId) => {
        fc.pre(!Object.keys(metadata).includes('__proto__'));
        const text = buildAuditEvent({ ...draft, requestId, metadata: metadata as never }, origin);
        // oxlint-disable-next-line no-control-regex -- a control character would spoil stream and journal
        expect(text).not.toMatch(/[\u0000-\u001f]/);
        expect(read(text)).toBeDefined();
      }),
    );
  });

  it('records half a surrogate pair and an inexact number in the nearest form others read', () => {
    const metadata = { text: 'a\ud800b', count: 2 ** 60, none: Number.NaN } as never;
    expect(read(buildAuditEvent({ ...draft, metadata }, origin))).toMatchObject({
      metadata: { text: 'a\ufffdb', count: '1152921504606847000', none: 'NaN' },
    });
  });

  it('leaves an oversized input out and says so', () => {
    const text = buildAuditEvent({ ...draft, inputDigest: 'ab', inputJson: 'x'.repeat(600_000) }, origin);
    expect(read(text)).toMatchObject({ input_digest: 'ab', metadata: { input_omitted: true } });
    expect(text).not.toContain('input_json');
  });

  it('that is oversized without its input is refused', () => {
    expect(() => buildAuditEvent({ ...draft, metadata: { text: 'x'.repeat(600_000) } }, origin)).toThrow(
      'internal_error',
    );
  });
});
