// What a log line may never hold: secrets by the name of their field, and secrets by their look.
// It stands alone so that the rule is one list, and holds for every line whatever code wrote it.

const redacted = '[redacted]';

/** Field names, lower case without `-` and `_`, whose values are never logged, whatever they are. */
const secretNames: ReadonlySet<string> = new Set([
  'accesstoken',
  'actortoken',
  'admintoken',
  'apikey',
  'assertion',
  'authorization',
  'bearer',
  'challengesecret',
  'clientassertion',
  'clientsecret',
  'connectionstring',
  'cookie',
  'credential',
  'credentials',
  'databaseurl',
  'dpop',
  'envelope',
  'idtoken',
  'kek',
  'mandate',
  'passwd',
  'password',
  'plaintext',
  'privatekey',
  'proxyauthorization',
  'redisurl',
  'refreshtoken',
  'secret',
  'secrets',
  'setcookie',
  'subjecttoken',
  'token',
  'xapikey',
]);

/** Endings of names that follow the house's own settings: `auditHmacKey`, `STREAMS_HMAC_KEY_PREVIOUS`, `zoneKek`. */
const secretEnding = /(?:hmackey|kek|secret|password|token|privatekey|apikey)(?:previous)?$/;

const shapes: readonly (readonly [RegExp, string])[] = [
  // A JWS or JWE in compact form: its first part is base64url of `{"`.
  [/\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}/g, redacted],
  // Client secrets and admin tokens as the installation makes them.
  [/\b(?:csk|cat)_[A-Za-z0-9_-]{16,}/g, redacted],
  [/\b(Bearer|Basic|DPoP)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${redacted}`],
  // The password of a URL.
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]*):[^\s@/]+@/gi, `$1:${redacted}@`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, redacted],
];

/** Long enough for a stack trace; a longer text in a log line is somebody else's data. */
const maxText = 4096;
/** Deeper or wider values are somebody else's data too. */
const maxDepth = 6;
const maxMembers = 64;

/** The text with everything that looks like a secret blacked out, cut to 4096 characters. */
export function redactText(text: string): string {
  // Looked at beyond the cut, so that a secret lying across it goes as a whole.
  let clean = text.slice(0, 2 * maxText);
  for (const [pattern, replacement] of shapes) clean = clean.replace(pattern, replacement);
  return text.length > maxText ? `${clean.slice(0, maxText)}…` : clean;
}

/** True for a field whose value is a secret by its name. */
export function isSecretName(name: string): boolean {
  const plain = name.replaceAll(/[-_]/g, '').toLowerCase();
  return secretNames.has(plain) || secretEnding.test(plain);
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const described: Record<string, unknown> = {
    type: error.name,
    message: redactText(error.message),
    stack: redactText(error.stack ?? ''),
  };
  // Own fields that explain: `reason` and `privateDetail` of a Failure, `code` of drivers and of Node.
  for (const name of ['reason', 'privateDetail', 'code', 'constraint', 'syscall'] as const) {
    const value: unknown = Reflect.get(error, name);
    if (typeof value === 'string' || typeof value === 'number') described[name] = redactValue(value, depth + 1);
  }
  if (error.cause !== undefined) described['cause'] = redactValue(error.cause, depth + 1);
  return described;
}

function redactObject(value: object, depth: number): unknown {
  if (depth >= maxDepth) return '[deep]';
  if (value instanceof Error) return describeError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[no date]' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`;
  if (Array.isArray(value)) return value.slice(0, maxMembers).map((member) => redactValue(member, depth + 1));
  return redactMembers(value, depth);
}

function redactMembers(value: object, depth: number): Record<string, unknown> {
  const members: [string, unknown][] = Object.entries(value).slice(0, maxMembers);
  return Object.fromEntries(
    members.map(([name, member]) => [
      redactText(name),
      isSecretName(name) && member !== undefined && member !== null ? redacted : redactValue(member, depth + 1),
    ]),
  );
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value === 'object' && value !== null) return redactObject(value, depth);
  return value;
}

/** A copy of the fields that may be written down: secrets blacked out, errors described, everything bounded. */
export function redactFields(fields: object): Record<string, unknown> {
  return redactMembers(fields, 0);
}
