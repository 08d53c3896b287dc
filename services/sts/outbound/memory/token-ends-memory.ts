// What ends mandates, without a store: a revoker that writes into a view in memory, a barrier that is always reached, and a
// feed that a test can push.
import type { RevocationBarrier } from '#mesh/revocation';
import type { FedAnchor, RevocationFeed } from '../../ports/revocation-feed.ts';
import type { TokenRevocation, TokenRevoker } from '../../ports/token-revoker.ts';
import type { RevocationsMemory } from './judging-memory.ts';

export interface TokenRevokerMemory extends TokenRevoker {
  readonly revoked: TokenRevocation[];
}

export function createTokenRevokerMemory(revocations: RevocationsMemory): TokenRevokerMemory {
  const revoked: TokenRevocation[] = [];
  return {
    revoked,
    async revoke(revocation) {
      revoked.push(revocation);
      revocations.revoke(revocation.zoneId, revocation.anchor);
      return revocations.applied();
    },
  };
}

export function createBarrierMemory(): RevocationBarrier {
  const reached = async () => ({ applied: true, points: 1, gone: 0, elapsedMs: 1 });
  return { wait: reached, waitForAll: reached };
}

export interface RevocationFeedMemory extends RevocationFeed {
  /** Applies an anchor as the stream would. */
  push(anchor: Omit<FedAnchor, 'number'>): void;
  /** Forgets all and begins to count anew, as after a restore. */
  restart(): void;
  fresh: boolean;
  readonly listeners: number;
}

export function createRevocationFeedMemory(): RevocationFeedMemory {
  const listeners = new Set<(anchor: FedAnchor) => void>();
  let anchors: FedAnchor[] = [];
  return {
    fresh: true,
    get listeners() {
      return listeners.size;
    },
    push(anchor) {
      const numbered = { ...anchor, number: anchors.length + 1 };
      anchors.push(numbered);
      for (const listener of listeners) listener(numbered);
    },
    restart: () => void (anchors = []),
    applied: () => anchors.length,
    assertUsable: () => undefined,
    isFresh() {
      return this.fresh;
    },
    mayServe: () => true,
    anchorsOf: (zoneId) => anchors.filter((anchor) => anchor.zoneId === zoneId),
    onAnchor(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    refuses: (zoneId, rev, references) =>
      anchors.find(
        (anchor) =>
          anchor.zoneId === zoneId &&
          anchor.number > rev &&
          references.some(({ kind, id }) => anchor.kind === kind && anchor.id === id),
      ),
  };
}
