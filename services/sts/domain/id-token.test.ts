import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { claimedIssuer, readIdToken, readPayload } from './id-token.ts';
import type { IdTokenRefusal } from './id-token.ts';
import { issuerIdOf, userSubject } from './subject-issuer.ts';
import type { SubjectIssuer } from './subject-issuer.ts';

const nowMs = Date.UTC(2026, 10, 1);
const now = nowMs / 1000;
const issuer: SubjectIssuer = {
  id: '01900000-0000-7000-8000-00000000bbbb',
  zoneId: 'z',
  issuer: 'https://login.test',
  jwksUrl: 'https://login.test/keys',
  audience: 'caracal',
  algorithms: ['ES256'],
  claims: { groups: 'groups', level: 'https://claims.test/level' },
  mayAct: 'id_token',
  version: 1,
};
const payload = (more: Record<string, JsonValue> = {}): JsonObject => ({
  iss: issuer.issuer,
  aud: 'caracal',
  sub: 'alice',
  iat: now,
  exp: now + 300,
  ...more,
});
const verdict = (more: Record<string, JsonValue>, absent: readonly string[] = []): string => {
  const read = Object.fromEntries(Object.entries(payload(more)).filter(([name]) => !absent.includes(name)));
  const outcome = readIdToken(read, issuer, nowMs);
  return outcome.kind === 'refused' ? outcome.cause : 'accepted';
};
const accepted = (more: Record<string, JsonValue> = {}) => {
  const outcome = readIdToken(payload(more), issuer, nowMs);
  if (outcome.kind === 'refused') throw new Error(outcome.cause);
  return outcome.token;
};

const cases: readonly (readonly [string, Record<string, JsonValue>, IdTokenRefusal | 'accepted'])[] = [
  ['as it should be', {}, 'accepted'],
  ['of another issuer', { iss: 'https://login.test/' }, 'wrong_issuer'],
  ['for somebody else', { aud: 'other' }, 'wrong_audience'],
  ['for nobody', { aud: [] }, 'wrong_audience'],
  ['for an object', { aud: { caracal: true } }, 'wrong_audience'],
  ['for a list of one', { aud: ['caracal'] }, 'accepted'],
  ['for several without a party', { aud: ['caracal', 'other'] }, 'wrong_audience'],
  ['for several with us as the party', { aud: ['caracal', 'other'], azp: 'caracal' }, 'accepted'],
  ['for several with another party', { aud: ['caracal', 'other'], azp: 'other' }, 'wrong_audience'],
  ['expired for a minute', { exp: now - 60, iat: now - 300 }, 'expired'],
  ['expired for less than a minute', { exp: now - 59, iat: now - 300 }, 'accepted'],
  ['ten minutes and a minute old', { iat: now - 660 }, 'accepted'],
  ['older than that', { iat: now - 661 }, 'too_old'],
  ['from a minute ahead', { iat: now + 60 }, 'accepted'],
  ['from further ahead', { iat: now + 61, exp: now + 500 }, 'issued_in_the_future'],
  ['not valid yet', { nbf: now + 61 }, 'not_yet_valid'],
  ['valid from a word', { nbf: 'now' }, 'no_lifetime'],
  ['with a text for a time', { exp: String(now + 300) }, 'no_lifetime'],
  ['with a time beyond reason', { exp: 1e300 }, 'no_lifetime'],
  ['with a time before all time', { iat: -1 }, 'no_lifetime'],
  ['of nobody', { sub: '' }, 'unusable_subject'],
  ['of a number', { sub: 1 }, 'unusable_subject'],
  ['of a name with a line break', { sub: 'a\nb' }, 'unusable_subject'],
  ['of a name that turns text around', { sub: 'a\u202Eb' }, 'unusable_subject'],
  ['of a name with an invisible mark', { sub: 'a\u200Bb' }, 'unusable_subject'],
  ['of a name with white space around', { sub: ' alice' }, 'unusable_subject'],
  ['of a reserved name', { sub: 'Caracal:admin' }, 'unusable_subject'],
  ['of a name as long as can be revoked', { sub: 'a'.repeat(470) }, 'accepted'],
  ['of a longer one', { sub: 'a'.repeat(471) }, 'unusable_subject'],
  ['of one longer in bytes', { sub: '€'.repeat(171) }, 'unusable_subject'],
  ['with facts to decide on', { groups: ['a', 'b'], 'https://claims.test/level': 3 }, 'accepted'],
  ['with a document for a fact', { groups: { a: 1 } }, 'unusable_claim'],
  ['with too many facts', { groups: Array.from({ length: 129 }, () => 'g') }, 'unusable_claim'],
  ['with a fact that is a novel', { groups: 'g'.repeat(257) }, 'unusable_claim'],
  ['with a fact no store takes', { groups: 'a\u0000' }, 'unusable_claim'],
  ['with a fact that is not whole', { groups: 1.5 }, 'unusable_claim'],
  ['with an actor', { may_act: { client_id: 'agent' } }, 'accepted'],
  ['with an actor by more than who', { may_act: { client_id: 'agent', scope: 'all' } }, 'unusable_may_act'],
  ['with nobody as actor', { may_act: {} }, 'unusable_may_act'],
  ['with a word for an actor', { may_act: 'agent' }, 'unusable_may_act'],
];

describe('an id token', () => {
  it.each(cases)('%s: %3$s', (_, more, expected) => {
    expect(verdict(more)).toBe(expected);
  });

  it.each(['exp', 'iat', 'sub', 'aud', 'iss'])('without %s is refused', (name) => {
    expect(verdict({}, [name])).not.toBe('accepted');
  });

  it('says who by issuer and subject, and what policies may see by the names they use', () => {
    const token = accepted({ groups: ['a'], 'https://claims.test/level': 3, email: 'alice@example.test' });
    expect(token).toMatchObject({ subject: `user:${issuer.id}:alice`, claims: { groups: ['a'], level: 3 } });
    expect(JSON.stringify(token)).not.toContain('example.test');
    expect(accepted({ groups: null }).claims).toEqual({});
  });

  it('is remembered until it could not be shown again, and was never made later than now', () => {
    expect(accepted()).toMatchObject({ shownUntilMs: nowMs + 360_000, madeAtMs: nowMs });
    expect(accepted({ iat: now + 30, exp: now + 90 }).madeAtMs).toBe(nowMs);
    expect(accepted({ iat: now - 30 }).madeAtMs).toBe(nowMs - 30_000);
    expect(accepted({ exp: now + 3600 })).toMatchObject({ shownUntilMs: nowMs + 660_000 });
  });

  it('takes its permission to act from where the registration says', () => {
    expect(accepted({ may_act: { sub: 's', client_id: 'c' } }).mayAct).toEqual({ sub: 's', client_id: 'c' });
    const outcome = readIdToken(payload({ may_act: 'ignored' }), { ...issuer, mayAct: 'none' }, nowMs);
    expect(outcome).toMatchObject({ kind: 'accepted', token: { mayAct: undefined } });
  });

  it('never throws, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...Object.keys(payload()), 'nbf', 'azp', 'groups', 'may_act'), fc.jsonValue()),
        (more) => {
          expect(['accepted', 'refused']).toContain(
            readIdToken({ ...payload(), ...(more as JsonObject) }, issuer, nowMs).kind,
          );
        },
      ),
    );
  });
});

describe('what is claimed before anything is verified', () => {
  const encoded = (text: string): string => Buffer.from(text).toString('base64url');
  it('is the issuer of a well-formed token and nothing else', () => {
    expect(claimedIssuer(`x.${encoded('{"iss":"https://a"}')}.y`)).toBe('https://a');
    for (const text of ['', '[]', '"x"', '{"iss":1}', '{', '{"iss":"a","iss":"b"}', '\u{FEFF}{}', '{"a":"\\ud800"}']) {
      expect(claimedIssuer(`x.${encoded(text)}.y`)).toBeUndefined();
    }
    for (const token of ['', '..', 'a.b', `${'a'.repeat(20_000)}.b.c`, 'a.b.c.d']) {
      expect(claimedIssuer(token)).toBeUndefined();
    }
  });

  it('is never a payload with a member twice', () => {
    expect(readPayload('{"sub":"a","sub":"b"}')).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void readPayload(text)));
  });
});

describe('the name of a user', () => {
  it('keeps issuers apart from each other and from applications', () => {
    const name = fc.string({ minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.tuple(fc.uuid(), fc.uuid()), fc.tuple(name, name), ([one, other], [a, b]) => {
        expect(issuerIdOf(userSubject(one, a))).toBe(one);
        expect(userSubject(one, a) === userSubject(other, b)).toBe(one === other && a === b);
        expect(issuerIdOf(one)).toBeUndefined();
      }),
    );
  });
});
