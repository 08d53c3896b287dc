// Sealed secrets: a fresh data key per value, wrapped by the key-encryption key, and both bound to the one row they are for.
// It stands alone because this format outlives every release that writes it.
//
// Layout, version 1:
//   1   version, 0x01
//   8   KEK id, the first bytes of the KEK's SHA-256
//  12   nonce of the wrapped data key
//  32   data key, encrypted under the KEK
//  16   tag
//  12   nonce of the value
//   n   value, encrypted under the data key
//  16   tag
// AES-256-GCM (NIST SP 800-38D) both times. Associated data: everything before the ciphertext in the envelope, then the
// label, table, column and row id, each with its length. So an envelope does not open in another row, and no part of
// one can be put into another.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { lengthPrefixed } from '#mesh/canonical';
import { kekBytes, kekId, kekIdBytes, kekProblem } from './kek.ts';

/** Where an envelope belongs. */
export interface SecretLocation {
  /** With its schema: `api.provider_secrets`. */
  readonly table: string;
  readonly column: string;
  readonly rowId: string;
}

/** The current key-encryption key, and the one before while values are being sealed anew. */
export interface Keyring {
  /** Hex id of the key that seals. */
  readonly currentId: string;
  /** Undefined for an id that is neither the current nor the previous one. */
  readonly find: (id: Buffer) => Buffer | undefined;
}

/** Does not open: another key, another row, or bytes that were changed. The three are deliberately not told apart. */
export class SecretUnreadable extends Error {
  override readonly name = 'SecretUnreadable';
}

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const algorithm = 'aes-256-gcm';
const headerBytes = 1 + kekIdBytes;
const wrappedBytes = nonceBytes + kekBytes + tagBytes;
const shortestEnvelope = headerBytes + wrappedBytes + nonceBytes + tagBytes;

/** The longest value that is sealed: what SealSecret accepts. */
export const longestSecretBytes = 65_536;

/** Makes a keyring of hex keys. Throws, without the value, on a key that is malformed or weak. */
export function createKeyring(keys: { readonly current: string; readonly previous?: string | undefined }): Keyring {
  const known = [keys.current, ...(keys.previous === undefined ? [] : [keys.previous])].map((hex) => {
    const problem = kekProblem(hex);
    if (problem !== undefined) throw new Error(`a key-encryption key is refused: ${problem}`);
    const kek = Buffer.from(hex, 'hex');
    return { id: kekId(kek), kek };
  });
  return {
    currentId: known[0]?.id.toString('hex') ?? '',
    find: (id) => known.find((entry) => entry.id.equals(id))?.kek,
  };
}

/** Seals a value for one row under the current key. Every call gives other bytes. */
export function seal(keyring: Keyring, plaintext: Uint8Array, location: SecretLocation): Buffer {
  if (plaintext.length > longestSecretBytes) throw new RangeError('a secret is at most 64 KiB');
  const id = Buffer.from(keyring.currentId, 'hex');
  const kek = keyring.find(id);
  if (kek === undefined) throw new Error('the keyring has no current key');
  const header = Buffer.concat([Buffer.of(version), id]);
  const dataKey = randomBytes(kekBytes);
  try {
    const wrapped = encrypt(kek, dataKey, { before: header, location });
    const before = Buffer.concat([header, wrapped]);
    return Buffer.concat([before, encrypt(dataKey, plaintext, { before, location })]);
  } finally {
    dataKey.fill(0);
  }
}

/** The value sealed for this row. Throws SecretUnreadable when it was sealed for another, or under an unknown key, or changed. */
export function open(keyring: Keyring, envelope: Uint8Array, location: SecretLocation): Buffer {
  const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength);
  if (bytes.length < shortestEnvelope || bytes[0] !== version) throw new SecretUnreadable('not a sealed secret');
  const header = bytes.subarray(0, headerBytes);
  const before = bytes.subarray(0, headerBytes + wrappedBytes);
  const kek = keyring.find(bytes.subarray(1, headerBytes));
  if (kek === undefined) throw new SecretUnreadable('sealed under a key that is not here');
  const dataKey = decrypt(kek, bytes.subarray(headerBytes, before.length), { before: header, location });
  try {
    return decrypt(dataKey, bytes.subarray(before.length), { before, location });
  } finally {
    dataKey.fill(0);
  }
}

/** True when the envelope was sealed under the current key: false means that a re-seal sweep has it still to do. */
export function isCurrent(keyring: Keyring, envelope: Uint8Array): boolean {
  return Buffer.from(envelope.subarray(1, headerBytes)).toString('hex') === keyring.currentId;
}

interface Context {
  readonly before: Buffer;
  readonly location: SecretLocation;
}

function associatedData({ before, location }: Context): Buffer {
  return lengthPrefixed([before, 'caracal/secrets/envelope/v1', location.table, location.column, location.rowId]);
}

function encrypt(key: Buffer, plaintext: Uint8Array, context: Context): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(associatedData(context));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Buffer, sealed: Buffer, context: Context): Buffer {
  const nonce = sealed.subarray(0, nonceBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(associatedData(context));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes)), decipher.final()]);
  } catch (error) {
    throw new SecretUnreadable('sealed for another row, or changed', { cause: error });
  }
}
