// Canonical forms and digests: one text per value, one digest per text.
export {
  constantTimeEqual,
  deriveKey,
  hmacSha256,
  hmacSha256Hex,
  lengthPrefixed,
  sha256,
  sha256Hex,
  type KeyPurpose,
} from './digest.ts';
export { JsonRefused } from './json-refused.ts';
export { canonicalJson, maxCanonicalDepth, parseCanonicalJson } from './json.ts';
export { parseStrictJson, type StrictJsonLimits } from './strict-json.ts';
