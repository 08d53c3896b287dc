// The need: that a hold is raised, decided and spent in one place for all replicas, and that every change of its state is
// evidence. What it answers is true at the moment it answers; only `spend` takes something.
import type { JsonObject } from '#mesh/failure';
import type { HeldAction } from '../domain/hold.ts';
import type { ChallengeType, HoldRule } from '../domain/hold-rule.ts';

/** What is waited for, with everything an approver is shown. */
export interface NewHold {
  readonly action: HeldAction;
  readonly binding: string;
  readonly rule: HoldRule;
  /** Nobody of these may approve it. */
  readonly chain: readonly string[];
  /** What policy said. */
  readonly diagnostics: readonly JsonObject[];
  readonly policySetVersionId: string;
  readonly requestId: string;
}

export type Raised =
  /** `joined`: the same action is waited for already. The secret is this asker's own and is shown nowhere again. */
  | { readonly kind: 'raised' | 'joined'; readonly id: string; readonly secret: string; readonly expiresAtMs: number }
  /** Exactly this was rejected a moment ago. */
  | { readonly kind: 'rejected'; readonly id: string; readonly retryAfterMs: number }
  /** More are pending than one principal may have. */
  | { readonly kind: 'too_many'; readonly retryAfterMs: number };

/** A hold as a caller shows it, with what the caller is about to do. */
export interface PresentedHold {
  readonly id: string;
  readonly secret: string;
  readonly binding: string;
  readonly action: Pick<HeldAction, 'zoneId' | 'applicationId' | 'principal'>;
  readonly requestId: string;
}

export type HoldAnswer =
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }
  /** No such hold, the secret is wrong, or it was raised for something else. */
  | { readonly kind: 'unknown' | 'other_action' }
  | {
      readonly kind: 'pending' | 'approved' | 'rejected' | 'expired' | 'consumed' | 'spent';
      readonly type: ChallengeType;
      readonly expiresAtMs: number;
      /** The approver's `sub`; '' before anyone decided. */
      readonly decidedBy: string;
    };

/** A hold that was spent, as far as the call that spent it needs it to go on. */
export interface SpentHold {
  readonly binding: string;
  readonly policyDigest: string;
  readonly rule: Pick<HoldRule, 'type' | 'approvers'>;
  readonly decidedBy: string;
  readonly requestId: string;
}

export type HoldState = 'pending' | 'approved' | 'rejected' | 'expired' | 'consumed';

export interface HoldStatus {
  readonly id: string;
  readonly zoneId: string;
  readonly type: ChallengeType;
  readonly state: HoldState;
  readonly expiresAtMs: number;
  /** How long it lives still, by the store's clock. */
  readonly remainingMs: number;
}

/** Throws `store_unavailable` when the store is away: nothing is held or released then. */
export interface HoldStore {
  /** One live hold per action; bounded per principal and application. */
  raise(hold: NewHold): Promise<Raised>;
  /** What it is worth. Wrong presentations count: too many close the way for a while (`throttled`). */
  look(presented: PresentedHold): Promise<HoldAnswer>;
  /** As `look`, and an approved one is consumed: of all who try, exactly one is told `spent`. Never given back. */
  spend(presented: PresentedHold): Promise<HoldAnswer>;
  /** Undefined unless it was spent and the secret is right. Counts nothing. */
  findSpent(zoneId: string, id: string, secret: string): Promise<SpentHold | undefined>;
  /** Undefined for who does not know the secret. */
  status(id: string, secret: string): Promise<HoldStatus | undefined>;
}
