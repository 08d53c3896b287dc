// A governed call as the Gateway asks about it, and the answer it gets: no wire types, no stream.
import type { ProvenKey } from '#mesh/authority';
import type { Failure } from '#mesh/failure';
import type { Asked } from '../evidence.ts';
import type { ShownHold } from '../resolve-hold.ts';

export interface CallQuestion {
  readonly asked: Asked;
  /** The mandate as it was presented. */
  readonly mandate: string;
  /** The zone of the resource as the Gateway routed it. */
  readonly zoneId: string;
  readonly resource: string;
  readonly method: string;
  readonly path: string;
  /** The keys whose possession the Gateway has proven for this very call. */
  readonly proven: ProvenKey;
  /** About a call whose answer is open already. */
  readonly again?: boolean;
  /** SHA-256, hex, of what the path does not say; absent when there is nothing. Bound by an approval, unseen by policy. */
  readonly argumentsDigest?: string | undefined;
  /** The approval the caller presents. */
  readonly challenge?: ShownHold | undefined;
}

/** What goes on the upstream request; held for one call only. */
export interface Injection {
  readonly headerName: string;
  readonly headerValue: string;
  /** In place of a header: the query parameter and its value, not encoded; both empty otherwise. */
  readonly queryName: string;
  readonly queryValue: string;
  /** Empty unless the upstream asked for identity. */
  readonly identityMandate: string;
  /** 0 when unknown. */
  readonly expiresAtMs: number;
}

export interface CallAllowed {
  readonly kind: 'allowed';
  readonly eventId: string;
  readonly scopes: readonly string[];
  readonly injection: Injection;
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

export interface CallRefused {
  readonly kind: 'refused';
  readonly failure: Failure;
  readonly diagnostics: readonly object[];
  /** Empty when the event could not be made durable. */
  readonly eventId: string;
  readonly requiredScopes: readonly string[];
}

export type CallVerdict = CallAllowed | CallRefused;
