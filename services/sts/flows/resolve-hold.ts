// A hold on its way: raised for the caller to have it approved, or, when the caller comes back with it, spent together with
// what it was approved for. What policy denies never gets here, so that no hold is spent on a refusal of policy.
import { fail } from '#mesh/failure';
import type { Failure, JsonObject } from '#mesh/failure';
import { bindingDigest } from '../domain/hold.ts';
import type { HeldAction } from '../domain/hold.ts';
import { asksNoMore, strictest } from '../domain/hold-rule.ts';
import type { HoldRule } from '../domain/hold-rule.ts';
import type { HoldAnswer, HoldStore, NewHold, PresentedHold, SpentHold } from '../ports/hold-store.ts';

export interface HoldDeps {
  readonly holds: HoldStore;
}

/** What a caller shows: the hold's id and the secret it was given with it. */
export interface ShownHold {
  readonly id: string;
  readonly secret: string;
}

export interface HeldRequest extends Pick<NewHold, 'chain' | 'diagnostics' | 'policySetVersionId' | 'requestId'> {
  readonly action: Omit<HeldAction, 'rule'>;
  /** Of every decision that holds. */
  readonly rules: readonly [HoldRule, ...HoldRule[]];
  readonly challenge: ShownHold | undefined;
}

/** An approved hold. Nothing is taken before `spend`. */
export interface ApprovedHold {
  readonly approvalId: string;
  /**
   * Call it last of all that is awaited. Once it resolves the approval is used up, whatever happens then; it throws
   * `challenge_invalid` to all but the first.
   */
  spend(): Promise<void>;
}

/** The challenge as callers see it, in the words of the token endpoint. */
export function challengeDetails(about: {
  readonly id: string;
  readonly type: string;
  readonly expiresAtMs: number;
  readonly secret?: string | undefined;
}): JsonObject {
  return {
    challenge_id: about.id,
    challenge_type: about.type,
    ...(about.secret === undefined ? {} : { challenge_secret: about.secret }),
    challenge_expires_at: new Date(about.expiresAtMs).toISOString(),
  };
}

/** Which approval an outcome is about, for the ledger; undefined when it is about none. */
export function approvalOf(about: {
  readonly failure?: Failure | undefined;
  readonly approval?: { readonly approvalId: string } | undefined;
}): string | undefined {
  const named = about.failure?.details?.['challenge_id'];
  return about.approval?.approvalId ?? (typeof named === 'string' ? named : undefined);
}

async function raise(deps: HoldDeps, hold: NewHold): Promise<Failure> {
  const raised = await deps.holds.raise(hold);
  switch (raised.kind) {
    case 'raised':
    case 'joined':
      return fail('interaction_required', {
        privateDetail: raised.kind,
        details: challengeDetails({ ...raised, type: hold.rule.type }),
      });
    case 'rejected':
      return fail('policy_denied', {
        description: 'An approver rejected exactly this a moment ago.',
        details: { challenge_id: raised.id },
        retryAfterMs: raised.retryAfterMs,
        privateDetail: 'rejected_before',
      });
    case 'too_many':
      return fail('rate_limited', {
        description: 'Too many approvals are waited for already.',
        retryAfterMs: raised.retryAfterMs,
        privateDetail: 'too_many_holds',
      });
  }
}

/** The failure an answer means; undefined for a hold that is approved or was spent just now. */
function failureOf(answer: HoldAnswer, id: string): Failure | undefined {
  switch (answer.kind) {
    case 'approved':
    case 'spent':
      return undefined;
    case 'throttled':
      return fail('rate_limited', {
        description: 'Too many approvals that were not valid were presented.',
        retryAfterMs: answer.retryAfterMs,
        privateDetail: 'challenge_cooldown',
      });
    case 'pending':
      // The secret is with the caller already and is not repeated.
      return fail('interaction_required', {
        privateDetail: answer.kind,
        details: challengeDetails({ ...answer, id }),
      });
    case 'unknown':
    case 'other_action':
      // Which of the two is for the ledger: who guesses learns nothing.
      return fail('challenge_invalid', { privateDetail: answer.kind });
    case 'rejected':
    case 'expired':
    case 'consumed':
      return fail('challenge_invalid', {
        description: `The approval is not valid any more: ${answer.kind}.`,
        details: { challenge_id: id, state: answer.kind },
        privateDetail: answer.kind,
      });
  }
}

function noApprover(): Failure {
  return fail('policy_denied', {
    description: 'Policy asks for approvals that no one approver can give.',
    privateDetail: 'no_approver_left',
  });
}

function bound(request: HeldRequest): { action: HeldAction; binding: string; rule: HoldRule } {
  const rule = strictest(request.rules);
  if (rule === 'no_approver_left') throw noApprover();
  const action: HeldAction = { ...request.action, rule };
  return { action, binding: bindingDigest(action), rule };
}

/**
 * The approved hold of this very request. Throws `interaction_required` with the challenge when there is none yet,
 * `challenge_invalid` when the one presented is not good for this, `policy_denied` after a rejection, `rate_limited` when
 * too much is waited for or was tried.
 */
export async function resolveHold(deps: HoldDeps, request: HeldRequest): Promise<ApprovedHold> {
  const { action, binding, rule } = bound(request);
  const { challenge, requestId } = request;
  if (!challenge) throw await raise(deps, { ...request, action, binding, rule });
  const presented: PresentedHold = { ...challenge, binding, action, requestId };
  const failure = failureOf(await deps.holds.look(presented), challenge.id);
  if (failure) throw failure;
  return {
    approvalId: challenge.id,
    async spend() {
      const lost = failureOf(await deps.holds.spend(presented), challenge.id);
      if (lost) throw lost;
    },
  };
}

/**
 * True when a call that spent a hold may go on under a decision that holds anew: the same call does the same thing, and
 * policy, in whatever version, asks for nothing beyond what was approved.
 */
function covers(spent: SpentHold, request: HeldRequest, rule: HoldRule): boolean {
  const asApproved = { ...request.action, policyDigest: spent.policyDigest, rule: spent.rule };
  return (
    spent.requestId === request.requestId &&
    spent.binding === bindingDigest(asApproved) &&
    asksNoMore(rule, spent.rule) &&
    (rule.approvers?.includes(spent.decidedBy) ?? true)
  );
}

/**
 * For a call whose answer is open already: it spent its hold when it began, and it is neither spent again nor raised anew.
 * Throws `policy_denied` when what was approved does not cover what policy asks for now.
 */
export async function continueOnSpentHold(deps: HoldDeps, request: HeldRequest): Promise<{ approvalId: string }> {
  const { rule } = bound(request);
  const { challenge, action } = request;
  const spent = challenge && (await deps.holds.findSpent(action.zoneId, challenge.id, challenge.secret));
  if (!challenge || !spent || !covers(spent, request, rule)) {
    throw fail('policy_denied', {
      description: 'Policy asks for an approval that this call was not given.',
      privateDetail: 'not_covered_by_spent_hold',
    });
  }
  return { approvalId: challenge.id };
}
