// The form of an operation's path pattern. `*` stands for one non-empty segment, `**` for any rest and only at the end.
// A pattern is written as the Gateway normalises paths, else it could never match and would protect nothing.

/** RFC 3986 §3.3 pchar without `;`, which the Gateway refuses. Percent-encoding is judged apart. */
const segmentForm = /^(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-F]{2})+$/;
/** Percent-encoded unreserved characters (RFC 3986 §2.3), slash and backslash never reach a comparison. */
const neverSeen = /%(?:2D|2E|5F|7E|3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|2F|5C|00)/;
const maxSegments = 64;

/** The rule that a pattern breaks; undefined when it can match. */
export function patternProblem(pattern: string): string | undefined {
  if (!pattern.startsWith('/')) return 'begins with /';
  const segments = pattern.slice(1).split('/');
  if (segments.length > maxSegments) return `at most ${maxSegments} segments`;
  for (const [at, segment] of segments.entries()) {
    const isLast = at === segments.length - 1;
    if (segment === '*' || (segment === '' && isLast)) continue;
    if (segment === '**') {
      if (!isLast) return '** stands at the end only';
      continue;
    }
    const problem = segmentProblem(segment);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '') return 'no empty segment';
  if (segment === '.' || segment === '..') return 'no dot segment';
  if (segment.includes('*')) return '* stands for a whole segment';
  if (!segmentForm.test(segment) || neverSeen.test(segment)) {
    return 'segments as they arrive after normalisation: unreserved characters plain, other bytes as %XX in upper case';
  }
  return undefined;
}
