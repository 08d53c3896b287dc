// The attack list on signed tokens (RFC 8725, RFC 7515 §10) as data: what a stranger can make of a genuine token's header,
// claims and public key. The same list is shown to every verifier, in memory and over the wire.
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto';
import { forge, testKey, type TestKey } from '../../support/mandates.ts';

export interface GenuineToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly key: TestKey;
}

export interface Attack {
  readonly name: string;
  readonly token: string;
}

const encoded = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

const unsigned = (header: unknown, claims: unknown): string => `${encoded(header)}.${encoded(claims)}`;

function withMac(header: object, claims: unknown, secret: string | Buffer): string {
  const input = unsigned(header, claims);
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** Every form in which the public key could be taken for a shared secret. */
function publicForms(publicKey: KeyObject): readonly (string | Buffer)[] {
  const jwk = publicKey.export({ format: 'jwk' });
  return [
    String(publicKey.export({ format: 'pem', type: 'spki' })),
    publicKey.export({ format: 'der', type: 'spki' }),
    JSON.stringify(jwk),
    Buffer.from(String(jwk.x), 'base64url'),
  ];
}

function withoutSignature({ header, claims, key }: GenuineToken): readonly Attack[] {
  const signed = forge(JSON.stringify(header), JSON.stringify(claims), key);
  const none = ['none', 'None', 'NONE', 'nOnE', ''].flatMap((alg) => [
    { name: `alg ${alg || 'empty'} without signature`, token: `${unsigned({ ...header, alg }, claims)}.` },
    { name: `alg ${alg || 'empty'} with a signature`, token: `${unsigned({ ...header, alg }, claims)}.AAAA` },
  ]);
  const [first = '', second = '', third = ''] = signed.split('.');
  const zeroes = Buffer.alloc(64).toString('base64url');
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'.repeat(2), 'hex');
  return [
    ...none,
    { name: 'two parts', token: `${first}.${second}` },
    { name: 'an empty signature', token: `${first}.${second}.` },
    { name: 'a signature of zeroes (CVE-2022-21449)', token: `${first}.${second}.${zeroes}` },
    { name: 'a signature of the curve’s order', token: `${first}.${second}.${order.toString('base64url')}` },
    { name: 'four parts', token: `${signed}.${third}` },
    { name: 'five parts, as if encrypted', token: `${first}.${second}.${third}.${third}.${third}` },
    { name: 'JSON serialization', token: JSON.stringify({ payload: second, protected: first, signature: third }) },
    { name: 'padding', token: `${signed}=` },
    { name: 'white space', token: `${first}. ${second}.${third}` },
  ];
}

function otherAlgorithms({ header, claims, key }: GenuineToken): readonly Attack[] {
  const macs = ['HS256', 'ES256'].flatMap((alg) =>
    publicForms(key.publicKey).map((secret, at) => ({
      name: `${alg} keyed with the public key, form ${at}`,
      token: withMac({ ...header, alg }, claims, secret),
    })),
  );
  const names = ['ES384', 'ES512', 'RS256', 'PS256', 'EdDSA', 'ES256K', 'es256', 'ES256 ', 'dir', 'RSA1_5'];
  const named = names.map((alg) => ({
    name: `alg ${alg}`,
    token: forge(JSON.stringify({ ...header, alg }), JSON.stringify(claims), key),
  }));
  const other = testKey(key.kid, 'secp256k1');
  return [
    ...macs,
    ...named,
    { name: 'another curve', token: forge(JSON.stringify(header), JSON.stringify(claims), other) },
    { name: 'another key', token: forge(JSON.stringify(header), JSON.stringify(claims), testKey(key.kid)) },
  ];
}

/** Headers that would choose key or meaning, on a token that a stranger has signed with a key of its own. */
function chosenKeys({ header, claims }: GenuineToken): readonly Attack[] {
  const stranger = testKey('stranger');
  const jwk = createPublicKey(stranger.privateKey).export({ format: 'jwk' });
  const certificate = Buffer.from('not a certificate').toString('base64');
  const chosen: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['jwk in the header', { jwk }],
    ['jwk and kid in the header', { jwk, kid: stranger.kid }],
    ['jku', { jku: 'https://evil.example/keys' }],
    ['x5u', { x5u: 'https://evil.example/certificate' }],
    ['x5c', { x5c: [certificate] }],
    ['kid as a path', { kid: '../../../../dev/null' }],
    ['kid as SQL', { kid: "x' UNION SELECT 'secret" }],
    ['kid with NUL', { kid: 'a\u0000b' }],
    ['kid as an address', { kid: 'http://evil.example/key' }],
    ['kid as a number', { kid: 1 }],
    ['kid as a list', { kid: ['a'] }],
    ['kid of a prototype', { kid: '__proto__' }],
    ['kid without end', { kid: 'k'.repeat(5_000) }],
    ['no kid', { kid: undefined }],
    ['crit', { crit: ['exp'] }],
    ['crit of its own making', { crit: ['own'], own: true }],
    ['b64 false', { b64: false, crit: ['b64'] }],
    ['zip', { zip: 'DEF' }],
    ['a nested token', { cty: 'JWT' }],
  ];
  return chosen.map(([name, more]) => ({
    name,
    token: forge(JSON.stringify({ ...header, ...more }), JSON.stringify(claims), stranger),
  }));
}

/** Tokens under the genuine key that say what no genuine one says: another kind of token, or two things at once. */
function misread({ header, claims, key }: GenuineToken): readonly Attack[] {
  const [head, body] = [JSON.stringify(header), JSON.stringify(claims)];
  const sign = (first: string, second: string): string => forge(first, second, key);
  const typed = ['at+jwt', 'dpop+jwt', 'jwt', 'JOSE', 'logout+jwt', 'oauth-id-jag+jwt', 'client-authentication+jwt', 1];
  const deep = `${'['.repeat(4_000)}${']'.repeat(4_000)}`;
  const strangeTypes = typed.map((typ) => ({
    name: `typ ${String(typ)}`,
    token: sign(JSON.stringify({ ...header, typ }), body),
  }));
  return [
    ...strangeTypes.filter(({ token }) => !token.startsWith(encoded(head))),
    { name: 'a doubled alg', token: sign(head.replace('{', '{"alg":"none",'), body) },
    { name: 'a doubled claim', token: sign(head, body.replace('{', '{"jti":"other",')) },
    { name: 'a doubled claim in escapes', token: sign(head, body.replace('{', '{"\\u006ati":"other",')) },
    { name: 'claims nested without end', token: sign(head, body.replace('{', `{"x":${deep},`)) },
    { name: 'claims beyond every bound', token: sign(head, body.replace('{', `{"x":"${'x'.repeat(20_000)}",`)) },
    { name: 'a header beyond every bound', token: sign(head.replace('{', `{"x":"${'x'.repeat(20_000)}",`), body) },
    { name: 'claims that are a list', token: sign(head, `[${body}]`) },
    { name: 'claims that are text', token: sign(head, '"claims"') },
    { name: 'claims that are nothing', token: sign(head, 'null') },
    { name: 'claims with something after them', token: sign(head, `${body}{}`) },
    { name: 'claims with a byte order mark', token: sign(head, `\ufeff${body}`) },
    { name: 'an integer beyond what is exact', token: sign(head, body.replace('{', '{"x":9007199254740993,')) },
    { name: 'a lone surrogate', token: sign(head, body.replace('{', '{"x":"\\ud800",')) },
    { name: 'a prototype', token: sign(head, body.replace('{', '{"__proto__":{"scope":"admin"},')) },
  ];
}

/** Every attack on the token; each must be refused wherever tokens of this kind are taken. */
export function attacksOn(genuine: GenuineToken): readonly Attack[] {
  return [...withoutSignature(genuine), ...otherAlgorithms(genuine), ...chosenKeys(genuine), ...misread(genuine)];
}
