// Subjects and IdTokens over plain maps, for tests of flows: an id token is the name of a payload that is kept here.
import type { JsonObject } from '#mesh/failure';
import { issuerIdOf } from '../../domain/subject-issuer.ts';
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
    async grants(zoneId, applicationId, subject) {
      const issuer = issuersOf.get(issuerIdOf(subject) ?? '');
      return issuer?.zoneId === zoneId ? (grantsOf.get(`${applicationId} ${subject}`) ?? []) : [];
    },
    async claims(zoneId, id) {
      const record = records.get(id);
      return record?.zoneId === zoneId ? (record.subjectClaims ?? {}) : undefined;
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
