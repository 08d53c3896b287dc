// The public keys an application signs its client assertions with (RFC 7517, RFC 7523): what may be registered, member by
// member. A private key that is sent here by mistake is refused before it is kept anywhere.
import type { FieldViolation, JsonObject, JsonValue } from '#mesh/failure';

/** A JWK set with public keys alone. */
export interface PublicKeySet {
  readonly keys: readonly JsonObject[];
}

/** Enough for two keys in rotation on a few machines; a set is read at every authentication. */
export const maxPublicKeys = 8;
const maxKeyIdLength = 128;

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;
const describingMembers = ['kty', 'kid', 'use', 'alg', 'key_ops', 'ext'];
const base64url = /^[A-Za-z0-9_-]+$/;

interface KeyForm {
  readonly is: (jwk: JsonObject) => boolean;
  readonly algorithms: readonly string[];
  /** Members that carry the key. */
  readonly material: readonly string[];
  readonly problem: (jwk: JsonObject) => (Omit<FieldViolation, 'path'> & { readonly member: string }) | undefined;
}

function byteLength(value: JsonValue | undefined): number {
  return typeof value === 'string' && base64url.test(value) ? Buffer.from(value, 'base64url').length : 0;
}

function sized(members: Readonly<Record<string, number>>): KeyForm['problem'] {
  return (jwk) => {
    for (const [member, bytes] of Object.entries(members)) {
      if (byteLength(jwk[member]) !== bytes) return { member, rule: `${bytes} bytes in base64url` };
    }
    return undefined;
  };
}

/** RFC 8725 §3.5 and what NIST SP 800-131A allows: 2048 bits at least; beyond 4096 a verification costs more than it adds. */
const rsaBytes = { least: 256, most: 512 };

function rsaProblem(jwk: JsonObject): ReturnType<KeyForm['problem']> {
  const bytes = byteLength(jwk['n']);
  const first = Buffer.from(typeof jwk['n'] === 'string' ? jwk['n'] : '', 'base64url')[0] ?? 0;
  const bits = bytes * 8 - (Math.clz32(first) - 24);
  if (bits < rsaBytes.least * 8 || bytes > rsaBytes.most)
    return { member: 'n', rule: 'a modulus of 2048 to 4096 bits' };
  // The one exponent everybody uses; small ones have their own attacks.
  return jwk['e'] === 'AQAB' ? undefined : { member: 'e', rule: 'the exponent 65537' };
}

const forms: readonly KeyForm[] = [
  {
    is: ({ kty, crv }) => kty === 'EC' && crv === 'P-256',
    algorithms: ['ES256'],
    material: ['crv', 'x', 'y'],
    problem: sized({ x: 32, y: 32 }),
  },
  {
    is: ({ kty, crv }) => kty === 'EC' && crv === 'P-384',
    algorithms: ['ES384'],
    material: ['crv', 'x', 'y'],
    problem: sized({ x: 48, y: 48 }),
  },
  {
    is: ({ kty, crv }) => kty === 'OKP' && crv === 'Ed25519',
    algorithms: ['EdDSA', 'Ed25519'],
    material: ['crv', 'x'],
    problem: sized({ x: 32 }),
  },
  {
    is: ({ kty }) => kty === 'RSA',
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
    material: ['n', 'e'],
    problem: rsaProblem,
  },
];

type Refuse = (member: string, rule: string) => void;

function checkMaterial(jwk: JsonObject, form: KeyForm, refuse: Refuse): void {
  const { alg } = jwk;
  const known = [...describingMembers, ...form.material];
  for (const member of Object.keys(jwk)) {
    if (!known.includes(member)) refuse(member, `not among ${known.join(', ')}`);
  }
  const problem = form.problem(jwk);
  if (problem) refuse(problem.member, problem.rule);
  if (alg !== undefined && !form.algorithms.some((name) => name === alg)) {
    refuse('alg', `one of ${form.algorithms.join(', ')}`);
  }
}

function checkPurpose({ kid, use, key_ops: operations }: JsonObject, refuse: Refuse): void {
  if (kid !== undefined && (typeof kid !== 'string' || !/^[\x21-\x7e]+$/.test(kid) || kid.length > maxKeyIdLength)) {
    refuse('kid', `1 to ${maxKeyIdLength} visible ASCII characters`);
  }
  if (use !== undefined && use !== 'sig') refuse('use', 'sig');
  if (
    operations !== undefined &&
    !(Array.isArray(operations) && operations.length === 1 && operations[0] === 'verify')
  ) {
    refuse('key_ops', '["verify"]');
  }
}

function checkKey(jwk: JsonObject, refuse: Refuse): void {
  const leaked = privateMembers.filter((member) => Object.hasOwn(jwk, member));
  for (const member of leaked) refuse(member, 'a private key stays with its owner');
  if (leaked.length > 0) return;
  const form = forms.find(({ is }) => is(jwk));
  if (!form) {
    refuse('kty', 'EC with P-256 or P-384, OKP with Ed25519, or RSA');
    return;
  }
  checkMaterial(jwk, form, refuse);
  checkPurpose(jwk, refuse);
}

function checkNames(keys: readonly JsonObject[], refuse: Refuse): void {
  const seen = new Set<JsonValue | undefined>();
  for (const [at, { kid }] of keys.entries()) {
    if (kid === undefined && keys.length > 1) refuse(`[${at}].kid`, 'required where there are several keys');
    if (kid !== undefined && seen.has(kid)) refuse(`[${at}].kid`, 'each kid once');
    seen.add(kid);
  }
}

/** Everything that is wrong with a set by its form; whether the points lie on their curves is asked of the platform. */
export function publicKeyProblems({ keys }: PublicKeySet): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const refuse: Refuse = (path, rule) => void problems.push({ path: `public_keys.keys${path}`, rule });
  if (keys.length === 0 || keys.length > maxPublicKeys) refuse('', `1 to ${maxPublicKeys} keys`);
  for (const [at, jwk] of keys.slice(0, maxPublicKeys).entries()) {
    checkKey(jwk, (member, rule) => refuse(`[${at}].${member}`, rule));
  }
  checkNames(keys, refuse);
  return problems;
}
