// The chain of a zone: each entry's place is bound to its content, its predecessor and a key that only Audit holds.
import { hmacSha256Hex, lengthPrefixed, sha256Hex } from '#mesh/canonical';
import type { LedgerEvent } from './ledger-event.ts';

/** The end of a zone's chain; seq 0 and an empty digest before the first entry. */
export interface ChainHead {
  readonly seq: number;
  readonly contentSha256: string;
  readonly chainHmac: string;
}

export const emptyHead: ChainHead = { seq: 0, contentSha256: '', chainHmac: '' };

/** An entry's place in the chain. */
export interface ChainLink {
  readonly seq: number;
  readonly previousSha256: string;
  readonly chainHmac: string;
  readonly chainKeyId: string;
}

/** A key that chains are made with, and those they were made with before; old entries still verify. */
export interface ChainKeys {
  readonly current: { readonly id: string; readonly key: Uint8Array };
  find(id: string): Uint8Array | undefined;
}

/** The id under which a chain key is known: 16 hex digits of its digest. */
export function chainKeyId(key: Uint8Array): string {
  return sha256Hex(key).slice(0, 16);
}

export interface ChainedContent {
  readonly zoneId: string;
  readonly seq: number;
  readonly contentSha256: string;
  readonly previousSha256: string;
  readonly keyId: string;
}

/** HMAC over zone, seq, content, previous and key id, each length-prefixed, so that no two places share a text. */
export function chainHmac(key: Uint8Array, place: ChainedContent): string {
  return hmacSha256Hex(
    key,
    lengthPrefixed([place.zoneId, String(place.seq), place.contentSha256, place.previousSha256, place.keyId]),
  );
}

/** Continues a chain with events in the given order. */
export function extendChain(
  head: ChainHead,
  events: readonly LedgerEvent[],
  keys: ChainKeys,
): { readonly links: readonly ChainLink[]; readonly head: ChainHead } {
  let end = head;
  const { id, key } = keys.current;
  const links = events.map((event) => {
    const seq = end.seq + 1;
    const previousSha256 = end.contentSha256;
    const hmac = chainHmac(key, {
      zoneId: event.zoneId,
      seq,
      contentSha256: event.contentSha256,
      previousSha256,
      keyId: id,
    });
    end = { seq, contentSha256: event.contentSha256, chainHmac: hmac };
    return { seq, previousSha256, chainHmac: hmac, chainKeyId: id };
  });
  return { links, head: end };
}
