// Decides that a token is a mandate of this installation: signature, issuer and time. A token that verified is remembered
// by its digest until it expires, because the same bearer comes with every request of an agent.
import { sha256Hex } from '#mesh/canonical';
import { fail, type Failure } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { LRUCache } from 'lru-cache';
import type { KeyObject } from 'node:crypto';
import type { VerifiedMandate } from './claims.ts';
import { parseMandate, type ParsedMandate } from './parse.ts';
import { verifyEs256 } from './signature.ts';

/** Where public keys come from. Undefined when the zone or the key does not exist; throws a Failure when nobody can say. */
export interface KeySource {
  publicKey(zoneId: string, kid: string): Promise<KeyObject | undefined>;
}

/** Why a token was not accepted; for evidence and metrics, the caller is told invalid_token. */
export type TokenRefusal = 'malformed' | 'wrong_issuer' | 'expired' | 'not_yet_valid' | 'unknown_key' | 'bad_signature';

export interface MandateVerifier {
  /** The mandate, or a Failure: invalid_token with the refusal as private detail, or what the key source throws. */
  verify(token: string): Promise<VerifiedMandate>;
  /** The mandate if it was verified here within 15 minutes and has not expired; no promise, no cryptography. */
  recall(token: string): VerifiedMandate | undefined;
  /**
   * Forgets what was verified under a zone's keys; the next use is verified anew. What is being verified now is not
   * remembered, because its key may have been looked up before.
   */
  forgetZone(zoneId: string): void;
  /** The same for every zone. */
  forgetAll(): void;
  readonly size: number;
}

export interface MandateVerifierOptions {
  readonly issuer: string;
  readonly keys: KeySource;
  readonly clock: Pick<Clock, 'now'>;
  /** Clocks of our own services follow the database; authority.md allows them this much. */
  readonly leewaySeconds?: number;
  readonly rememberedTokens?: number;
}

// 5 s between our own services (authority.md, Expiry).
const DEFAULT_LEEWAY_SECONDS = 5;
// At up to 8 KiB each, 4,000 tokens stay near 32 MiB; usual ones are below 2 KiB.
const DEFAULT_REMEMBERED = 4_000;
// What was verified is believed no longer than keys are (authority.md, Zone keys): then its key is looked up again.
const REMEMBERED_MS = 15 * 60_000;

interface Remembered {
  readonly mandate: VerifiedMandate;
  readonly verifiedAtMs: number;
}

export function createMandateVerifier(options: MandateVerifierOptions): MandateVerifier {
  const { issuer, keys, clock } = options;
  const leewayMs = (options.leewaySeconds ?? DEFAULT_LEEWAY_SECONDS) * 1_000;
  const remembered = new LRUCache<string, Remembered>({ max: options.rememberedTokens ?? DEFAULT_REMEMBERED });

  // Grows with every forgetting.
  let forgettings = 0;

  const isExpired = (expSeconds: number): boolean => clock.now() >= expSeconds * 1_000 + leewayMs;

  function recallDigest(digest: string): VerifiedMandate | undefined {
    const known = remembered.get(digest);
    if (known === undefined) return undefined;
    const isOld = clock.now() - known.verifiedAtMs >= REMEMBERED_MS;
    if (!isOld && !isExpired(known.mandate.claims.exp)) return known.mandate;
    remembered.delete(digest);
    return undefined;
  }

  async function verifyAnew(token: string, digest: string): Promise<VerifiedMandate> {
    const parsed = parseMandate(token);
    if (parsed === undefined) throw refusal('malformed');
    // Cheap rules first: nobody causes a key to be fetched with a token that could not be accepted anyway.
    const refused = refuseUnsigned(parsed, { issuer, nowMs: clock.now(), leewayMs });
    if (refused !== undefined) throw refusal(refused);
    const { header, claims, signingInput, signature } = parsed;
    const forgettingsBefore = forgettings;
    // The zone is only claimed so far; a key found under it makes the claim true, because key ids are unique across zones.
    const key = await keys.publicKey(claims.zone_id, header.kid);
    if (key === undefined) throw refusal('unknown_key');
    if (!verifyEs256(signingInput, signature, key)) throw refusal('bad_signature');
    const mandate: VerifiedMandate = { token, digest, kid: header.kid, claims };
    if (forgettings === forgettingsBefore) remembered.set(digest, { mandate, verifiedAtMs: clock.now() });
    return mandate;
  }

  return {
    async verify(token) {
      const digest = sha256Hex(token);
      return recallDigest(digest) ?? (await verifyAnew(token, digest));
    },
    recall: (token) => recallDigest(sha256Hex(token)),
    forgetZone(zoneId) {
      forgettings += 1;
      const inZone = remembered.entries().filter(([, { mandate }]) => mandate.claims.zone_id === zoneId);
      for (const [digest] of [...inZone]) remembered.delete(digest);
    },
    forgetAll() {
      forgettings += 1;
      remembered.clear();
    },
    get size() {
      return remembered.size;
    },
  };
}

function refusal(reason: TokenRefusal): Failure {
  return fail('invalid_token', { privateDetail: reason });
}

function refuseUnsigned(
  { claims: { iss, exp, iat } }: ParsedMandate,
  { issuer, nowMs, leewayMs }: { issuer: string; nowMs: number; leewayMs: number },
): TokenRefusal | undefined {
  if (iss !== issuer) return 'wrong_issuer';
  if (nowMs >= exp * 1_000 + leewayMs) return 'expired';
  return iat * 1_000 > nowMs + leewayMs ? 'not_yet_valid' : undefined;
}
