// The STS's judgement of one governed call.
import type { ProvenKey } from '#mesh/authority';
import type { FailureReason, JsonValue } from '#mesh/failure';
import type { VerifiedMandate } from '#mesh/mandate';
import type { Credential } from '../domain/header-rules.ts';

/** An approval as the caller presents it. Its secret goes to the STS and nowhere else. */
export interface PresentedApproval {
  readonly id: string;
  readonly secret: string;
}

/** What has to be approved before the same call may be tried again. */
export interface Challenge {
  readonly id: string;
  readonly type: string;
  /** Shown once: '' when the caller has it. */
  readonly secret: string;
  readonly expiresAtMs: number;
}

export interface Question {
  readonly mandate: VerifiedMandate;
  readonly zoneId: string;
  /** The resource's identifier. */
  readonly resource: string;
  readonly method: string;
  /** As policy sees it. */
  readonly path: string;
  /** The keys whose possession was proven for this call. */
  readonly proven: ProvenKey;
  readonly requestId: string;
  readonly traceparent: string;
  /** SHA-256, hex, of what the path does not say; '' when it says everything. */
  readonly argumentsDigest?: string;
  readonly approval?: PresentedApproval | undefined;
  /** About a call that was allowed and whose answer is still open. */
  readonly again?: boolean;
}

/** An allow. Its decision event is durable before it arrives here. Holds the credential: never logged, never stored. */
export interface Allowed {
  readonly eventId: string;
  readonly scopes: readonly string[];
  readonly credential: Credential;
  /** Epoch milliseconds; undefined when unknown. */
  readonly credentialExpiresAtMs: number | undefined;
  readonly upstreamUrl: string;
  readonly allowedHosts: readonly string[];
  readonly reusable: boolean;
  readonly validUntilMs: number;
  readonly policyDigest: string;
  readonly policySetId: string;
  readonly policySetVersionId: string;
  readonly inputDigest: string;
  readonly resourceVersion: number;
  readonly delegationEpoch: number;
}

/** A refusal. Its decision event is durable before it arrives here. */
export interface Refused {
  readonly reason: FailureReason;
  readonly description: string;
  readonly diagnostics: JsonValue | undefined;
  readonly eventId: string;
  readonly requiredScopes: readonly string[];
  readonly retryAfterMs: number | undefined;
  /** With `interaction_required`. */
  readonly challenge?: Challenge | undefined;
}

export type Answer =
  { readonly kind: 'allowed'; readonly verdict: Allowed } | { readonly kind: 'refused'; readonly refusal: Refused };

export interface PendingAnswer {
  /** Rejects with `sts_unavailable` when no answer came in time or no STS is connected. */
  readonly answer: Promise<Answer>;
  /** Nobody waits any more; the answer may still come and is dropped. */
  cancel(): void;
}

export interface Authorizer {
  /** Whether a question asked now would be sent. */
  isConnected(): boolean;
  ask(question: Question): PendingAnswer;
}
