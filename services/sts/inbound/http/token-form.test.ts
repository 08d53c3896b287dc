import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import { exchangeWorld } from '../../../../test/support/exchange-world.ts';
import { exchangeToken } from '../../flows/exchange-token/exchange-token.ts';
import { grantType, readTokenForm } from './token-form.ts';
import type { TokenForm } from './token-form.ts';

const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const whole = { grant_type: grantType, zone_id: 'z', application_id: 'a', client_secret: 's' } as const;

const read = (fields: Record<string, string> | [string, string][], authorization?: string): TokenForm =>
  readTokenForm(new URLSearchParams(fields), authorization);

function refusal(fields: Record<string, string> | [string, string][]): string[] {
  try {
    read(fields);
  } catch (error) {
    if (error instanceof Failure) return [error.reason, ...error.fields.map(({ path }) => path)];
    throw error;
  }
  return [];
}

describe('the form of the token endpoint', () => {
  it('names the subject by its type, and takes one without a type for a mandate', () => {
    expect(read(whole).subject).toBeUndefined();
    expect(read({ ...whole, subject_token: 't' }).subject).toEqual({ token: 't', type: 'access_token' });
    expect(read({ ...whole, subject_token: 't', subject_token_type: accessTokenType }).subject?.type).toBe(
      'access_token',
    );
    expect(read({ ...whole, subject_token: 't', subject_token_type: idTokenType }).subject?.type).toBe('id_token');
    for (const type of [idTokenType, accessTokenType]) {
      const named = { ...whole, subject_token_type: type };
      expect(refusal(named)).toEqual(['invalid_request', 'subject_token']);
      expect(refusal({ ...named, subject_token: '' })).toEqual(['invalid_request', 'subject_token']);
    }
    const saml = 'urn:ietf:params:oauth:token-type:saml2';
    expect(refusal({ ...whole, subject_token: 't', subject_token_type: saml })).toEqual([
      'invalid_request',
      'subject_token_type',
    ]);
  });

  it('has room for an id token that is longer than any mandate', () => {
    const long = 'x'.repeat(10_000);
    expect(read({ ...whole, subject_token: long, subject_token_type: idTokenType }).subject?.token).toBe(long);
    expect(refusal({ ...whole, subject_token: long })).toEqual(['invalid_request', 'subject_token']);
    const longer = 'x'.repeat(16_385);
    expect(refusal({ ...whole, subject_token: longer, subject_token_type: idTokenType })[1]).toBe('subject_token');
  });

  it('takes an actor token with its type, and neither without the other (RFC 8693 §2.1)', () => {
    const actor = { ...whole, subject_token: 's', actor_token: 'a', actor_token_type: accessTokenType };
    expect(read(actor).actorToken).toBe('a');
    const { actor_token: _token, ...typeOnly } = actor;
    const { actor_token_type: _type, ...tokenOnly } = actor;
    for (const half of [typeOnly, tokenOnly]) expect(refusal(half)).toEqual(['invalid_request', 'actor_token_type']);
    expect(refusal({ ...actor, actor_token_type: idTokenType })).toEqual(['invalid_request', 'actor_token_type']);
    const twice: [string, string][] = [...Object.entries(actor), ['actor_token', 'b']];
    expect(refusal(twice)).toEqual(['invalid_request', 'actor_token']);
  });

  it('gives no token but mandates, and takes no permission to act from a request', () => {
    expect(refusal({ ...whole, requested_token_type: idTokenType })).toEqual([
      'invalid_request',
      'requested_token_type',
    ]);
    expect(JSON.stringify(read({ ...whole, may_act: '{"sub":"a"}', act: '{"sub":"b"}' }))).not.toContain('"b"');
  });

  const names = [
    ...[
      'grant_type',
      'zone_id',
      'application_id',
      'client_id',
      'client_secret',
      'client_assertion',
      'resource',
      'scope',
    ],
    ...[
      'client_assertion_type',
      'subject_token',
      'subject_token_type',
      'actor_token',
      'actor_token_type',
      'ttl_seconds',
    ],
    ...[
      'agent_session_id',
      'delegation_edge_id',
      'challenge_id',
      'challenge_response',
      'audience',
      'requested_token_type',
    ],
  ];
  const value = fc.oneof(
    fc.constantFrom(
      '',
      grantType,
      idTokenType,
      accessTokenType,
      'a',
      'read',
      'read write',
      '900',
      '-1',
      '0',
      '1e9',
      'a.b.c',
    ),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme-ascii', maxLength: 200 }),
    fc.constant('x'.repeat(20_000)),
  );
  const anyForm = fc.array(fc.tuple(fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 20 })), value), {
    maxLength: 24,
  });

  it('is read or refused by a documented reason, whatever is in it', () => {
    fc.assert(
      fc.property(anyForm, fc.option(fc.string({ maxLength: 80 }), { nil: undefined }), (fields, authorization) => {
        try {
          const form = read(fields, authorization);
          expect(form.resources.length).toBeLessThanOrEqual(64);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          expect(error.entry.httpStatus).toBeLessThan(500);
          // No value is ever repeated.
          const shown = JSON.stringify([error.description, error.fields, error.details ?? {}]);
          for (const [, text] of fields)
            if (text.length > 12 && !text.startsWith('urn:')) expect(shown).not.toContain(text);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('never brings the exchange behind it to a fault', async () => {
    const world = exchangeWorld();
    const own = { grant_type: grantType, zone_id: world.zone.id };
    const subject = await world.ambient(world.owner);
    const actor = await world.ambient(world.agent);
    const token = fc.constantFrom(subject, actor, `${subject}x`, subject.slice(0, -1), 'a.b.c', '');
    const likely = fc.record(
      {
        subject_token: token,
        subject_token_type: fc.constantFrom(accessTokenType, idTokenType, ''),
        actor_token: token,
        actor_token_type: fc.constantFrom(accessTokenType, ''),
        resource: fc.constantFrom('a', 'b', 'c', ''),
        scope: fc.constantFrom('read', 'read write', 'agent:lifecycle', 'admin', ''),
        ttl_seconds: fc.constantFrom('0', '1', '900', '901', '3601', 'x'),
        agent_session_id: fc.constantFrom('s', ''),
        delegation_edge_id: fc.constantFrom('e', ''),
        challenge_id: fc.constantFrom('c', ''),
        challenge_response: fc.constantFrom('r', ''),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(likely, fc.constantFrom(world.owner, world.agent, world.stranger), async (fields, client) => {
        const present = Object.fromEntries(Object.entries(fields).filter(([, text]) => text !== undefined));
        try {
          const form = read({ ...own, ...present, application_id: client.id, client_secret: client.secret });
          const proof = {
            dpop: undefined,
            method: 'POST',
            path: '/oauth/2/token',
            certificateThumbprint: undefined,
          } as const;
          const asked = { requestId: 'r', traceId: undefined };
          await exchangeToken(world.ports, { ...form, asked, proof, source: '192.0.2.1' });
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          expect([error.reason, error.entry.httpStatus < 500]).toEqual([error.reason, true]);
        }
      }),
      { numRuns: 400 },
    );
  });
});
