// The need: what a zone knows of users, from memory when fresh: who vouches for them, what they granted, and what policies
// may know of the one a session belongs to.
import type { JsonObject } from '#mesh/failure';
import type { Grant, SubjectIssuer } from '../domain/subject-issuer.ts';

/** `store_unavailable` when nobody can say; never older than the staleness limit or an invalidation applied before. */
export interface Subjects {
  /** Every live issuer of the zone. */
  issuers(zoneId: string): Promise<readonly SubjectIssuer[]>;
  /** Every live grant of one user to one application, expired ones included. */
  grants(zoneId: string, applicationId: string, subject: string): Promise<readonly Grant[]>;
  /** The mapped claims of the user whose session record this is; undefined without a record. */
  claims(zoneId: string, sessionRecordId: string): Promise<JsonObject | undefined>;
}
