// What waits for an approver's word: an action that policy allows only once somebody agrees, in the words a person needs to
// decide on it.
import type { JsonObject } from '#mesh/failure';

export const approvalStates = ['pending', 'approved', 'rejected', 'expired', 'consumed'] as const;
export type ApprovalState = (typeof approvalStates)[number];

export interface ApprovalTarget {
  readonly resource: string;
  readonly scopes: readonly string[];
}

/** As the STS wrote it. */
export interface HeldOperation {
  readonly kind: 'token_exchange' | 'gateway_call';
  readonly use?: 'ambient' | 'per_call';
  readonly method?: string;
  readonly path?: string;
  /** SHA-256 of the query or of a tool's arguments. */
  readonly arguments_digest?: string;
}

/** An approval as the API shows it. */
export interface Approval {
  readonly id: string;
  readonly state: ApprovalState;
  readonly challengeType: string;
  /** Who alone may decide; undefined leaves it to every approver. */
  readonly approvers?: readonly string[] | undefined;
  readonly applicationId: string;
  readonly subject: string;
  readonly subjectType: 'user' | 'application';
  readonly sid?: string | undefined;
  readonly agentSessionId?: string | undefined;
  readonly delegationEdgeId?: string | undefined;
  /** Everyone the request comes from; none of them may approve it. */
  readonly chain: readonly string[];
  readonly targets: readonly ApprovalTarget[];
  readonly operation: HeldOperation;
  /** What policy said. */
  readonly diagnostics: readonly JsonObject[];
  readonly policySetVersionId: string;
  readonly policyDigest: string;
  /** Digest over everything that must be the same at the retry. */
  readonly binding: string;
  /** The request that raised it. */
  readonly requestId: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly decidedBy?: string | undefined;
  readonly reason?: string | undefined;
  readonly decidedAt?: string | undefined;
  readonly consumedAt?: string | undefined;
  readonly consumedRequestId?: string | undefined;
}

function doing({ kind, method, path, arguments_digest: digest, use }: HeldOperation): string {
  if (kind === 'gateway_call') {
    return `call ${method ?? ''} ${path ?? ''}${digest === undefined ? '' : ` (arguments sha256:${digest.slice(0, 16)}…)`}`;
  }
  return use === 'per_call' ? 'get a mandate for single calls' : 'get a mandate';
}

function target({ resource, scopes }: ApprovalTarget): string {
  return scopes.length === 0 ? resource : `${resource} with ${scopes.join(', ')}`;
}

/** What will be done once it is approved, in one sentence. */
export function inWords(approval: Pick<Approval, 'applicationId' | 'subject' | 'operation' | 'targets'>): string {
  const { applicationId, subject, operation, targets } = approval;
  const on = targets.map(target).join(' and ');
  const whose = subject === applicationId ? 'in its own name' : `for ${subject}`;
  return `Application ${applicationId}, ${whose}, will once ${doing(operation)} on ${on}.`;
}
