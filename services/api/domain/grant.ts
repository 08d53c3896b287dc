// A grant: what one user lets one application do at one resource. It is all the authority a mandate of that user has there.
import { isScopeToken } from '#mesh/authority';
import type { FieldViolation } from '#mesh/failure';

export interface Grant {
  readonly id: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly subjectIssuerId: string;
  /** `sub` of the user's mandates: user:<subject issuer>:<sub>. */
  readonly subject: string;
  readonly resourceId: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: string | undefined;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** As many as the STS reads of one user for one application. */
export const maxGrantsOfUser = 1000;

/** The scopes that cannot be granted at a resource with these. */
export function grantProblems(scopes: readonly string[], offered: readonly string[]): FieldViolation[] {
  const problems: FieldViolation[] = [];
  for (const [at, scope] of scopes.entries()) {
    if (!isScopeToken(scope) || !offered.includes(scope)) {
      problems.push({ path: `scopes[${at}]`, rule: 'one of the scopes of the resource' });
    }
  }
  if (new Set(scopes).size !== scopes.length) problems.push({ path: 'scopes', rule: 'each scope once' });
  return problems;
}

/** What the change leaves of a grant is less than before: mandates that rest on it must end. */
export function takesAway(
  before: Pick<Grant, 'scopes' | 'expiresAt'>,
  after: Pick<Grant, 'scopes' | 'expiresAt'>,
): boolean {
  if (before.scopes.some((scope) => !after.scopes.includes(scope))) return true;
  if (after.expiresAt === undefined) return false;
  // Both are microsecond texts of one form, which sort as moments do.
  return before.expiresAt === undefined || after.expiresAt < before.expiresAt;
}

const subjectForm = /^user:([0-9a-f-]{36}):(.+)$/su;
// Controls, and the characters that reorder or hide text, would let one user pass for another.
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const deceptive = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;
/** What an anchor can name. */
const maxSubject = 512;

/** The issuer a subject belongs to; undefined when no user can be called so. */
export function issuerOfSubject(subject: string): string | undefined {
  if (subject.length > maxSubject || deceptive.test(subject)) return undefined;
  const [, issuer, sub] = subjectForm.exec(subject) ?? [];
  return sub === undefined || sub.trim() !== sub ? undefined : issuer;
}
