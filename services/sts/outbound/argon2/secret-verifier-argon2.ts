// The SecretVerifier on Argon2id. A derivation costs 64 MiB and a tenth of a second, so few run at once, each zone has a
// share of the line, and what was verified once is remembered by a digest that dies with the process.
import { argon2, randomBytes } from 'node:crypto';
import { constantTimeEqual, hmacSha256Hex, lengthPrefixed } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import { LRUCache } from 'lru-cache';
import { createZoneTurns } from '../../domain/zone-turns.ts';
import type { SecretClaim, SecretVerifier } from '../../ports/secret-verifier.ts';

/** authority.md "Token endpoint": t=3, 64 MiB, p=2, 16-byte salt, 32-byte output. */
const passes = 3;
const memoryKib = 64 * 1024;
const parallelism = 2;
const saltBytes = 16;
const outputBytes = 32;
/** 8192 live clients of one replica; beyond it the least recently seen derive again. */
const rememberedSecrets = 8192;

export interface SecretVerifierOptions {
  /** Derivations at once; each occupies two threads and 64 MiB. */
  readonly concurrency: number;
  /** Derivations that may wait in all, and of one zone. */
  readonly maxWaiting: number;
  readonly maxWaitingPerZone: number;
  /** Injected in tests that count derivations. */
  readonly derive?: (secret: string, salt: Uint8Array) => Promise<Uint8Array>;
  readonly onDerivation?: (milliseconds: number) => void;
}

/** One Argon2id derivation with the parameters every stored hash has. */
export async function deriveArgon2(secret: string, salt: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2(
      'argon2id',
      { message: secret, nonce: salt, parallelism, tagLength: outputBytes, memory: memoryKib, passes },
      (error, derived) => {
        if (error) reject(error);
        else resolve(derived);
      },
    );
  });
}

/** `argon2id$<salt>$<hash>`, base64 without padding; undefined for anything else. */
export function parseStoredHash(stored: string | undefined): { salt: Buffer; hash: Buffer } | undefined {
  const match = /^argon2id\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/.exec(stored ?? '');
  if (!match?.[1] || !match[2]) return undefined;
  const [salt, hash] = [Buffer.from(match[1], 'base64'), Buffer.from(match[2], 'base64')];
  return salt.length === saltBytes && hash.length === outputBytes ? { salt, hash } : undefined;
}

/** Runs the work when the zone has its turn; `rate_limited` when too many wait. */
function createLine(options: SecretVerifierOptions): <T>(zoneId: string, work: () => Promise<T>) => Promise<T> {
  const { concurrency, maxWaiting, maxWaitingPerZone } = options;
  const turns = createZoneTurns({ places: concurrency, perZone: concurrency, maxWaiting, maxWaitingPerZone });
  return async (zoneId, work) => {
    const leave = await turns.enter(zoneId);
    if (!leave) {
      throw fail('rate_limited', { retryAfterMs: 1000, privateDetail: 'too many secret derivations waiting' });
    }
    try {
      return await work();
    } finally {
      leave();
    }
  };
}

/** The verifier. Remembers by HMAC under a key of this process, over application, stored hash and secret. */
export function createSecretVerifier(options: SecretVerifierOptions): SecretVerifier {
  const key = randomBytes(32);
  const remembered = new LRUCache<string, true>({ max: rememberedSecrets });
  const derive = options.derive ?? deriveArgon2;
  const line = createLine(options);
  const underWay = new Map<string, Promise<boolean>>();

  function digestOf({ zoneId, applicationId, storedHash, secret }: SecretClaim): string {
    return hmacSha256Hex(key, lengthPrefixed([zoneId, applicationId, storedHash ?? '', secret]));
  }

  async function deriveAndCompare(claim: SecretClaim, digest: string): Promise<boolean> {
    const stored = parseStoredHash(claim.storedHash);
    const startedAt = performance.now();
    // Without a hash the same work is done on a salt that leads nowhere.
    const derived = await derive(claim.secret, stored?.salt ?? randomBytes(saltBytes));
    options.onDerivation?.(performance.now() - startedAt);
    const right = stored !== undefined && constantTimeEqual(derived, stored.hash);
    if (right) remembered.set(digest, true);
    return right;
  }

  return {
    async verify(claim) {
      const digest = digestOf(claim);
      if (remembered.has(digest)) return true;
      const before = underWay.get(digest);
      if (before) return before;
      const deriving = line(claim.zoneId, async () => deriveAndCompare(claim, digest)).finally(() =>
        underWay.delete(digest),
      );
      underWay.set(digest, deriving);
      return deriving;
    },
  };
}
