// A Vault that seals nothing: the envelope holds its key's id, its place and the value as they are, and opens like a sealed
// one does, in its place and under a key that is known. It makes no keys.
import { fail } from '#mesh/failure';
import type { SealLocation, Vault } from '../../ports/vault.ts';

/** Hex ids of eight bytes, as those of real keys; the first seals. */
export function createVaultMemory(currentKeyId: string, ...previousKeyIds: readonly string[]): Vault {
  const known = new Set([currentKeyId, ...previousKeyIds]);
  const version = Buffer.of(1);
  const idOf = (envelope: Uint8Array): string => Buffer.from(envelope.subarray(1, 9)).toString('hex');
  const placeOf = ({ table, column, rowId }: SealLocation): string => `${table} ${column} ${rowId}\n`;
  return {
    currentKeyId,
    isCurrent: (envelope) => idOf(envelope) === currentKeyId,
    seal: (plaintext, location) =>
      Buffer.concat([version, Buffer.from(currentKeyId, 'hex'), Buffer.from(placeOf(location)), plaintext]),
    open(envelope, location) {
      const place = Buffer.from(placeOf(location));
      const rest = Buffer.from(envelope.subarray(9));
      if (!known.has(idOf(envelope)) || !rest.subarray(0, place.length).equals(place)) throw fail('internal_error');
      return Buffer.from(rest.subarray(place.length));
    },
    makeSigningKey: () => {
      throw fail('not_implemented');
    },
  };
}
