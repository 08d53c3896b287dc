// Judges uses of mandates by the lives of the keys that signed them: nothing a living key signed may be refused, nothing a
// retired one signed may be accepted. It stands alone, pure, so that tests of it need no installation.
import type { KeyUse } from './key-traffic.ts';

export interface KeyLife {
  readonly kid: string;
  /** No mint may come earlier; undefined for the keys that were there before. */
  readonly signsFromMs?: number | undefined;
  /** When its end was asked for, and when every replica had confirmed it. */
  readonly retiring?: { readonly askedAtMs: number; readonly appliedAtMs: number } | undefined;
}

export interface KeyJudgement {
  /** Refusals of what a living key signed. */
  readonly failed: readonly string[];
  /** Acceptances of what a retired key signed, after its end had been confirmed. */
  readonly accepted: readonly string[];
  /** Mints with a key that was published and might not sign yet. */
  readonly early: readonly string[];
  /** No verdict: the service was away. */
  readonly unavailable: number;
  readonly served: number;
  /** Refused, as the keys' ends demand. */
  readonly refused: number;
}

/** Clocks of our own services may differ by five seconds, but here they are one machine's. */
const clockSlackMs = 250;

/** Policy that cannot be asked denies with 403, and says nothing about a key. */
const isUnavailable = ({ status, reason }: KeyUse): boolean =>
  status === 0 || status >= 500 || reason === 'policy_unavailable';
const text = ({ place, replica, kid, status, reason }: KeyUse): string =>
  `${place} ${replica + 1} answered ${status} ${reason} to key ${kid.slice(-6)}`;

export function judgeKeys(uses: readonly KeyUse[], lives: readonly KeyLife[]): KeyJudgement {
  const lifeOf = new Map(lives.map((life) => [life.kid, life]));
  const failed: string[] = [];
  const accepted: string[] = [];
  const early: string[] = [];
  let [unavailable, served, refused] = [0, 0, 0];
  const isRotating = ({ sentAtMs, doneAtMs }: KeyUse): boolean =>
    lives.some(({ retiring }) => retiring && doneAtMs >= retiring.askedAtMs && sentAtMs <= retiring.appliedAtMs);
  for (const use of uses) {
    const life = lifeOf.get(use.kid);
    const { retiring, signsFromMs } = life ?? {};
    if (isUnavailable(use)) unavailable += 1;
    else if (use.status >= 200 && use.status < 300) {
      served += 1;
      if (retiring && use.sentAtMs > retiring.appliedAtMs) accepted.push(text(use));
      if (use.place === 'mint' && signsFromMs !== undefined && use.doneAtMs < signsFromMs - clockSlackMs) {
        early.push(text(use));
      }
    } else {
      refused += 1;
      // A mint that meets the end of its key on the way has signed nothing.
      const isExcused = use.place === 'mint' ? isRotating(use) : retiring && use.doneAtMs >= retiring.askedAtMs;
      if (isExcused !== true) failed.push(text(use));
    }
  }
  return { failed, accepted, early, unavailable, served, refused };
}
