// The mandates one stream has carried whole, by digest, the least recently used forgotten first: the same order in which
// the Gateway forgets, so that both mostly agree on what need not be sent again.
import { sha256 } from '#mesh/canonical';

export interface MandateMemory {
  keep(mandate: string): void;
  /** The mandate of a SHA-256 digest; undefined when this stream has not carried it lately. */
  recall(digest: Uint8Array): string | undefined;
}

export function createMandateMemory(max: number): MandateMemory {
  const known = new Map<string, string>();
  const touch = (key: string, mandate: string): void => {
    known.delete(key);
    known.set(key, mandate);
    const [oldest] = known.keys();
    if (known.size > max && oldest !== undefined) known.delete(oldest);
  };
  return {
    keep: (mandate) => touch(sha256(mandate).toString('hex'), mandate),
    recall(digest) {
      const key = Buffer.from(digest).toString('hex');
      const mandate = known.get(key);
      if (mandate !== undefined) touch(key, mandate);
      return mandate;
    },
  };
}
