// Signs and checks entries of the installation's streams. Whoever can write to Redis but holds no stream key can make no
// service act. Canonical text and vectors are those the public system published.
import { constantTimeEqual, hmacSha256Hex } from '#mesh/canonical';

export type StreamFields = Readonly<Record<string, string>>;

/** malformed entries are refused before their signature is looked at: their canonical text would not be one of a kind. */
export type SignatureVerdict = 'valid' | 'unsigned' | 'malformed' | 'forged';

export interface StreamSigner {
  /** The fields with `_sig` added. Throws a TypeError for fields that no reader would accept. */
  sign(stream: string, fields: StreamFields): StreamFields;
  /** True only for entries that were signed with the current or the previous key for this very stream. */
  verify(stream: string, fields: StreamFields): boolean;
  /** The same with the reason, for counters. */
  inspect(stream: string, fields: StreamFields): SignatureVerdict;
}

export interface StreamKeys {
  readonly current: Uint8Array;
  /** Accepted, never signed with, while keys rotate. */
  readonly previous?: Uint8Array | undefined;
}

export const SIGNATURE_FIELD = '_sig';

// oxlint-disable-next-line no-control-regex -- control characters separate fields in the canonical text
const CONTROL = /[\u0000-\u001f]/;
const HEX_SHA256 = /^[0-9a-f]{64}$/;

// Unambiguous only while no key holds '=' and nothing holds a line feed.
function isUnambiguous(fields: StreamFields): boolean {
  for (const [key, value] of Object.entries(fields)) {
    if (key.includes('=') || CONTROL.test(key) || CONTROL.test(value)) return false;
  }
  return true;
}

// The stream's name, then `key=value` per field in the order of the keys, each ended by a line feed, `_sig` left out.
function canonicalText(stream: string, fields: StreamFields): string {
  let text = `${stream}\n`;
  for (const key of Object.keys(fields).sort()) {
    if (key !== SIGNATURE_FIELD) text += `${key}=${fields[key] ?? ''}\n`;
  }
  return text;
}

export function createStreamSigner(keys: StreamKeys): StreamSigner {
  const accepted = keys.previous === undefined ? [keys.current] : [keys.current, keys.previous];

  function inspect(stream: string, fields: StreamFields): SignatureVerdict {
    if (!isUnambiguous(fields)) return 'malformed';
    const signature = fields[SIGNATURE_FIELD];
    if (signature === undefined) return 'unsigned';
    if (!HEX_SHA256.test(signature)) return 'forged';
    const text = canonicalText(stream, fields);
    return accepted.some((key) => constantTimeEqual(hmacSha256Hex(key, text), signature)) ? 'valid' : 'forged';
  }

  return {
    sign(stream, fields) {
      if (!isUnambiguous(fields))
        throw new TypeError('a stream field holds a control character, or its key an equals sign');
      return { ...fields, [SIGNATURE_FIELD]: hmacSha256Hex(keys.current, canonicalText(stream, fields)) };
    },
    verify: (stream, fields) => inspect(stream, fields) === 'valid',
    inspect,
  };
}
