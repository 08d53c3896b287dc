// Which key-encryption keys are good enough, and how one is named without being shown. It stands alone because a KEK is
// refused at start, long before anything is sealed.
import { createHash } from 'node:crypto';

/** 256 bits: what AES-256-GCM takes. */
export const kekBytes = 32;

/** Enough to tell an installation's few KEKs apart, too little to search for the key by. */
export const kekIdBytes = 8;

/** Why a key is refused: its form, or a pattern that no random source makes. */
export type KekProblem = 'form' | 'zero' | 'repeated' | 'sequential' | 'alternating';

/**
 * The problem of a hex key-encryption key, or undefined. Weak are: all zeros; one byte, or a block of at most half the key,
 * over and over; bytes that count up or down by a fixed step.
 */
export function kekProblem(hex: string): KekProblem | undefined {
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) return 'form';
  const key = Buffer.from(hex, 'hex');
  if (key.every((byte) => byte === 0)) return 'zero';
  if (repeatsEvery(key, 1)) return 'repeated';
  if (countsBySteps(key)) return 'sequential';
  for (let period = 2; period <= kekBytes / 2; period += 1) if (repeatsEvery(key, period)) return 'alternating';
  return undefined;
}

function repeatsEvery(key: Buffer, period: number): boolean {
  return key.every((byte, index) => byte === key[index % period]);
}

function countsBySteps(key: Buffer): boolean {
  const step = (key.readUInt8(1) - key.readUInt8(0)) & 0xff;
  return key.every((byte, index) => index === 0 || ((byte - key.readUInt8(index - 1)) & 0xff) === step);
}

/** The first 8 bytes of the KEK's SHA-256: names the key in an envelope. */
export function kekId(kek: Buffer): Buffer {
  return createHash('sha256').update(kek).digest().subarray(0, kekIdBytes);
}
