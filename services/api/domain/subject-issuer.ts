// A subject issuer: an OpenID provider whose word about users a zone takes, and what of its tokens policies may see.
import type { FieldViolation } from '#mesh/failure';

export interface SubjectIssuer {
  readonly id: string;
  readonly zoneId: string;
  readonly name: string;
  /** `iss` of its id tokens, compared byte by byte. */
  readonly issuer: string;
  readonly jwksUrl: string;
  /** What `aud` of its id tokens must name. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** The name a policy sees → the claim it comes from. */
  readonly claims: Readonly<Record<string, string>>;
  /** Where `may_act` of its users' mandates comes from. */
  readonly mayAct: string;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** Signatures an issuer may be registered with: asymmetric, so that whoever verifies cannot sign. */
export const idTokenAlgorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'] as const;
export const mayActSources = ['none', 'id_token', 'application'] as const;

/** Every exchange of a user looks at the zone's issuers, so the STS holds them all. */
export const maxSubjectIssuers = 64;
/** What fits a decision without making it a directory. */
const maxClaims = 16;

export interface SubjectIssuerRules {
  /** ISSUER_URL: who signs mandates cannot be who vouches for users. */
  readonly ownIssuer: string | undefined;
  /** dev only: keys may be read over http from loopback. */
  readonly plainLoopback: boolean;
}

/** Visible ASCII in lower-case https; the parser would drop white space and read a backslash as a slash. */
const form = /^https:\/\/(?!\/)[\x21-\x5b\x5d-\x7e]+$/;
const loopbackForm = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?\/[\x21-\x5b\x5d-\x7e]*$/;
const claimName = /^[a-z][a-z0-9_]{0,63}$/;
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const claimPath = /^[^\u0000-\u001f\u007f]{1,128}$/;

function urlProblem(text: string): string | undefined {
  if (!form.test(text) || !URL.canParse(text)) return 'an absolute https URL';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'no user information';
  return text.includes('#') ? 'no fragment' : undefined;
}

function sameIssuer(one: string, other: string): boolean {
  const plain = (text: string): string => new URL(text).href.replace(/\/$/, '');
  return URL.canParse(one) && URL.canParse(other) && plain(one) === plain(other);
}

function claimProblems(claims: SubjectIssuer['claims']): FieldViolation[] {
  const mapped = Object.entries(claims);
  const rules: string[] = [];
  if (mapped.length > maxClaims) rules.push(`at most ${maxClaims} claims`);
  if (mapped.some(([name]) => !claimName.test(name))) rules.push('names of lower-case letters, digits and underscores');
  if (mapped.some(([, source]) => !claimPath.test(source))) rules.push('each the name of a claim');
  return rules.map((rule) => ({ path: 'claims', rule }));
}

/** Everything that is wrong with an issuer as it would be stored. */
export function subjectIssuerProblems(
  { issuer, jwksUrl, claims }: Pick<SubjectIssuer, 'issuer' | 'jwksUrl' | 'claims'>,
  { ownIssuer, plainLoopback }: SubjectIssuerRules,
): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const refuse = (path: string, rule: string): void => void problems.push({ path, rule });
  const issuerProblem = urlProblem(issuer) ?? (issuer.includes('?') ? 'no query' : undefined);
  if (issuerProblem !== undefined) refuse('issuer', issuerProblem);
  if (ownIssuer !== undefined && sameIssuer(issuer, ownIssuer))
    refuse('issuer', 'another issuer than this installation');
  const jwksProblem = plainLoopback && loopbackForm.test(jwksUrl) ? undefined : urlProblem(jwksUrl);
  if (jwksProblem !== undefined) refuse('jwks_url', jwksProblem);
  problems.push(...claimProblems(claims));
  return problems;
}
