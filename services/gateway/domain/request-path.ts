// Decides which request targets the Gateway passes on and what policy sees of them. Upstreams disagree about how odd
// paths are read, so everything two readers could read differently is refused before any other check.

/** A request target split at its first question mark; `query` keeps the mark. */
export interface Target {
  readonly path: string;
  readonly query: string;
}

export type TargetVerdict =
  { readonly kind: 'target'; readonly target: Target } | { readonly kind: 'refused'; readonly rule: string };

export type PathVerdict =
  { readonly kind: 'accepted'; readonly policyPath: string } | { readonly kind: 'refused'; readonly rule: string };

// Longest target taken. Node's own parser already bounds the request's head; this bounds h2's `:path` alike.
const targetLimitBytes = 8192;

// Rounds of decoding looked through for a dot segment; more than this is itself refused.
const decodingRounds = 5;

// Printable ASCII; `#` starts a fragment, which no origin-form target has (RFC 9112 §3.2.1, RFC 3986 §3.5).
const printable = /^[\u0021-\u0022\u0024-\u007e]*$/;
const badEscape = /%(?![0-9a-fA-F]{2})/;
const escaped = /%[0-9a-fA-F]{2}/g;
// eslint-disable-next-line no-control-regex -- control characters are what this looks for
const control = /[\u0000-\u001f\u007f]/;
const dotSegment = /(?:^|[/\\])\.{1,2}(?=$|[/\\;?#])/;
const unreserved = /[A-Za-z0-9\-._~]/;

/** Accepts origin-form targets of printable ASCII with valid percent-encoding in the path. */
export function readTarget(received: string): TargetVerdict {
  if (!received.startsWith('/')) return { kind: 'refused', rule: 'origin-form target' };
  if (received.length > targetLimitBytes) return { kind: 'refused', rule: `at most ${targetLimitBytes} bytes` };
  if (!printable.test(received)) return { kind: 'refused', rule: 'printable ASCII without a fragment' };
  const mark = received.indexOf('?');
  const path = mark === -1 ? received : received.slice(0, mark);
  if (badEscape.test(path)) return { kind: 'refused', rule: 'valid percent-encoding' };
  return { kind: 'target', target: { path, query: mark === -1 ? '' : received.slice(mark) } };
}

/**
 * Judges a path that readTarget has accepted and gives the path policy sees. `oddPaths` is the resource's own
 * allowance; it then has no operation patterns, so nothing is decided on the odd part.
 */
export function judgePath(path: string, oddPaths: boolean): PathVerdict {
  if (!oddPaths) {
    const rule = oddness(path);
    if (rule !== undefined) return { kind: 'refused', rule };
  }
  return { kind: 'accepted', policyPath: path.includes('%') ? normalise(path) : path };
}

function oddness(path: string): string | undefined {
  if (path.includes('\\')) return 'no backslash';
  if (path.includes('//')) return 'no empty segment';
  if (path.includes(';')) return 'no semicolon';
  if (!path.includes('%')) return dotSegment.test(path) ? 'no dot segment' : undefined;
  if (/%2f/i.test(path)) return 'no encoded slash';
  if (/%5c/i.test(path)) return 'no encoded backslash';
  return encodedOddness(path);
}

// Looks at what the path becomes when it is decoded again and again, as a chain of careless readers would.
function encodedOddness(path: string): string | undefined {
  let current = path;
  for (let round = 0; round <= decodingRounds; round += 1) {
    if (dotSegment.test(current)) return 'no dot segment';
    if (control.test(current)) return 'no control character';
    const next = decodeOnce(current);
    if (next === current) return undefined;
    current = next;
  }
  return 'no deep encoding';
}

// One byte a character; overlong UTF-8 of `.`, `/` and `\` counts as the character itself (RFC 3629 §10).
function decodeOnce(path: string): string {
  return path
    .replace(/%(?:c0|e0%80|f0%80%80)%ae/gi, '.')
    .replace(/%(?:c0|e0%80|f0%80%80)%af/gi, '/')
    .replace(/%c1%9c|%e0%81%9c|%f0%80%81%9c/gi, '\\')
    .replace(escaped, (text) => String.fromCharCode(Number.parseInt(text.slice(1), 16)));
}

// RFC 3986 §6.2.2.1 and §6.2.2.2: hex digits upper-case, unreserved characters decoded once, nothing else.
function normalise(path: string): string {
  return path.replace(escaped, (text) => {
    const character = String.fromCharCode(Number.parseInt(text.slice(1), 16));
    return unreserved.test(character) ? character : text.toUpperCase();
  });
}
