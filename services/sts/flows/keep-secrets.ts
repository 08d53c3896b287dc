// Makes and seals for the API, which stores what it gets: zone keys and provider secrets. Nothing is kept here.
import { fail } from '#mesh/failure';
import type { SealLocation, Vault } from '../ports/vault.ts';

export interface MadeZoneKey {
  readonly envelope: Uint8Array;
  readonly publicJwkJson: string;
}

/** A new signing key, sealed for the row that will hold it; `keyId` becomes the `kid`. */
export function makeZoneKey(deps: { readonly vault: Vault }, keyId: string): MadeZoneKey {
  const { privateKey, publicJwk } = deps.vault.makeSigningKey(keyId);
  const envelope = deps.vault.seal(privateKey, { table: 'sts.zone_keys', column: 'envelope', rowId: keyId });
  return { envelope, publicJwkJson: JSON.stringify(publicJwk) };
}

/** Rows the API keeps sealed values in; sealing for any other would make envelopes that could be moved there. */
const sealable: ReadonlySet<string> = new Set(['api.provider_secrets.envelope']);

/** Seals a secret for one row. */
export function sealSecret(deps: { readonly vault: Vault }, secret: Uint8Array, location: SealLocation): Uint8Array {
  if (!sealable.has(`${location.table}.${location.column}`)) {
    throw fail('invalid_request', { fields: [{ path: 'table', rule: 'names no column that holds sealed values' }] });
  }
  return deps.vault.seal(secret, location);
}
