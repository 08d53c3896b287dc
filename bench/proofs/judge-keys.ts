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

type Verdict = 'unavailable' | 'served' | 'refused';

function verdictOf(use: KeyUse): Verdict {
  if (isUnavailable(use)) return 'unavailable';
  return use.status >= 200 && use.status < 300 ? 'served' : 'refused';
}

const isAccepted = ({ sentAtMs }: KeyUse, { retiring }: KeyLife): boolean =>
  retiring !== undefined && sentAtMs > retiring.appliedAtMs;

const isEarly = ({ place, doneAtMs }: KeyUse, { signsFromMs }: KeyLife): boolean =>
  place === 'mint' && signsFromMs !== undefined && doneAtMs < signsFromMs - clockSlackMs;

export function judgeKeys(uses: readonly KeyUse[], lives: readonly KeyLife[]): KeyJudgement {
  const known = new Map(lives.map((life) => [life.kid, life]));
  const lifeOf = ({ kid }: KeyUse): KeyLife => known.get(kid) ?? { kid };
  const meets = ({ sentAtMs, doneAtMs }: KeyUse, { retiring }: KeyLife): boolean =>
    retiring !== undefined && doneAtMs >= retiring.askedAtMs && sentAtMs <= retiring.appliedAtMs;
  const isExcused = (use: KeyUse): boolean => {
    const { retiring } = lifeOf(use);
    // A mint that meets the end of its key on the way has signed nothing.
    if (use.place === 'mint') return lives.some((life) => meets(use, life));
    return retiring !== undefined && use.doneAtMs >= retiring.askedAtMs;
  };
  const of = (verdict: Verdict): readonly KeyUse[] => uses.filter((use) => verdictOf(use) === verdict);
  const [served, refused] = [of('served'), of('refused')];
  return {
    failed: refused.filter((use) => !isExcused(use)).map(text),
    accepted: served.filter((use) => isAccepted(use, lifeOf(use))).map(text),
    early: served.filter((use) => isEarly(use, lifeOf(use))).map(text),
    unavailable: of('unavailable').length,
    served: served.length,
    refused: refused.length,
  };
}
