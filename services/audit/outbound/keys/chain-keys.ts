// The keys that chains are made with. Each is derived from an audit key and the checkpoint key together, so that no producer,
// holding the audit key alone, can chain. Rows name the key by id; keys of a rotation that has ended are found no more.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { deriveKey } from '#mesh/canonical';
import { chainKeyId, type ChainKeys } from '../../domain/chain.ts';

export interface ChainKeyMaterial {
  readonly auditKey: Uint8Array;
  readonly auditKeyPrevious: Uint8Array | undefined;
  /** PEM (PKCS #8), Ed25519. */
  readonly checkpointKeyFile: string;
}

/** @throws when the file is not an Ed25519 private key. */
export function loadChainKeys(material: ChainKeyMaterial): ChainKeys {
  const seed = checkpointSeed(material.checkpointKeyFile);
  const derive = (auditKey: Uint8Array): Buffer => deriveKey(Buffer.concat([auditKey, seed]), 'caracal/audit/chain/v1');
  const key = derive(material.auditKey);
  const keys = new Map<string, Uint8Array>([[chainKeyId(key), key]]);
  if (material.auditKeyPrevious !== undefined) {
    const previous = derive(material.auditKeyPrevious);
    keys.set(chainKeyId(previous), previous);
  }
  return { current: { id: chainKeyId(key), key }, find: (id) => keys.get(id) };
}

function checkpointSeed(file: string): Buffer {
  const key = createPrivateKey(readFileSync(file));
  const { crv, d } = key.export({ format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519' || crv !== 'Ed25519' || d === undefined) {
    throw new Error('AUDIT_CHECKPOINT_KEY_FILE must hold an Ed25519 private key');
  }
  return Buffer.from(d, 'base64url');
}
