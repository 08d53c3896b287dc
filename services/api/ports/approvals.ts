// The need: what waits for an approver's word, and that word, in the caller's transaction. They are the STS's rows; it gives
// no secret of them away and writes the evidence of a decision itself.
import type { Approval } from '../domain/approval.ts';
import type { Collection } from './collection.ts';

export interface ApprovalWord {
  readonly id: string;
  readonly decision: 'approved' | 'rejected';
  /** The approver's `sub`. */
  readonly approver: string;
  readonly tokenId: string;
  readonly reason: string | undefined;
}

/** `decided`: somebody has decided it, or its time is over. */
export type DecisionOutcome = 'approved' | 'rejected' | 'not_found' | 'decided' | 'own_chain' | 'not_an_approver';

export interface Approvals extends Pick<Collection<Approval>, 'find' | 'page'> {
  /** Of all words about one approval exactly one counts. */
  decide(word: ApprovalWord): Promise<DecisionOutcome>;
}
