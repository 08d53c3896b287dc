// The Vault on sealed envelopes (mesh/secrets): the only place that makes and opens what ZONE_KEK seals.
import { generateKeyPairSync } from 'node:crypto';
import { zoneJwk } from '#mesh/mandate';
import { isCurrent, open, seal } from '#mesh/secrets';
import type { Keyring } from '#mesh/secrets';
import type { Vault } from '../../ports/vault.ts';

/** A vault over the installation's keyring. */
export function createVault(keyring: Keyring): Vault {
  return {
    seal: (plaintext, location) => seal(keyring, plaintext, location),
    open: (envelope, location) => open(keyring, envelope, location),
    isCurrent: (envelope) => isCurrent(keyring, envelope),
    currentKeyId: keyring.currentId,
    makeSigningKey(keyId) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
      return { privateKey: pkcs8, publicJwk: zoneJwk(keyId, publicKey) };
    },
  };
}
