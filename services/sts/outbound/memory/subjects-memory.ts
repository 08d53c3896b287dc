// Subjects and IdTokens over plain maps, for tests of flows: an id token is the name of a payload that is kept here.
import type { JsonObject } from '#mesh/failure';
import type { Grant, SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { IdTokens } from '../../ports/id-tokens.ts';
import type { SessionRecord } from '../../ports/session-records.ts';
import type { Subjects } from '../../ports/subjects.ts';

export interface SubjectsMemory extends Subjects {
  readonly issuersOf: Map<string, SubjectIssuer>;
  /** By `<application> <subject>`. */
  readonly grantsOf: Map<string, Grant[]>;
}

export function createSubjectsMemory(records: ReadonlyMap<string, SessionRecord>): SubjectsMemory {
  const issuersOf = new Map<string, SubjectIssuer>();
  const grantsOf = new Map<string, Grant[]>();
  return {
    issuersOf,
    grantsOf,
    issuers: async (zoneId) => [...issuersOf.values()].filter((issuer) => issuer.zoneId === zoneId),
    grants: async (_zoneId, applicationId, subject) => grantsOf.get(`${applicationId} ${subject}`) ?? [],
    async claims(_zoneId, id) {
      const record = records.get(id);
      return record && (record.subjectClaims ?? {});
    },
  };
}

/** Takes every well-formed token for genuine; the signature of a token here is its text. */
export function createIdTokensMemory(): IdTokens {
  return {
    async verify(token) {
      const [, payload = '', signature] = token.split('.');
      if (signature === 'forged') return { kind: 'refused', cause: 'err_jws_signature_verification_failed' };
      return { kind: 'genuine', payload: JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as JsonObject };
    },
  };
}
