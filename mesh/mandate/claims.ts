// The claims of a mandate and the limits of each: one shape that the STS writes and every verifier reads, so that no claim
// can mean two things. Claims that say nothing are absent, never empty.

/** RFC 8693 §4.1: who acts, nested, the present actor outermost. */
export interface ActorClaim {
  readonly sub: string;
  readonly client_id?: string;
  /** The session record of the mandate it acted with, its root where that is another, and the agent session it was for. */
  readonly sid?: string;
  readonly root_sid?: string;
  readonly agent_session_id?: string;
  readonly act?: ActorClaim;
}

/** A party by what its own mandate says of it; every member that is present must agree. */
export interface ActorName {
  readonly sub?: string;
  readonly client_id?: string;
}

/** RFC 8693 §4.4: who may become the actor. At least one member; `any_of` where several parties may. */
export interface MayActClaim extends ActorName {
  readonly any_of?: readonly ActorName[];
}

/** RFC 7800: the key that must prove itself. `jkt` is RFC 9449 §6.1, `x5t#S256` is RFC 8705 §3.1. At least one member. */
export interface ConfirmationClaim {
  readonly jkt?: string;
  readonly 'x5t#S256'?: string;
}

/** One application on the way of the authority, with the session it acted in and the edge it passed on. */
export interface ChainLink {
  readonly app: string;
  readonly session?: string;
  readonly edge?: string;
}

export type MandateUse = 'ambient' | 'per_call';
export type SubjectType = 'user' | 'application';

export interface MandateClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  /** Seconds since the epoch (RFC 7519 §2, NumericDate), whole. */
  readonly exp: number;
  readonly iat: number;
  readonly jti: string;
  readonly zone_id: string;
  readonly client_id: string;
  readonly use: MandateUse;
  readonly sub_type: SubjectType;
  /** RFC 6749 §3.3; what was granted, not what was asked for. */
  readonly scope?: string;
  readonly target?: readonly string[];
  /** The session record and the first of its line. */
  readonly sid: string;
  readonly root_sid: string;
  /** The revocation number that the STS had applied when it signed: anchors above it may refuse this mandate. */
  readonly rev: number;
  readonly agent_session_id?: string;
  readonly delegation_edge_id?: string;
  readonly source_session_id?: string;
  readonly target_session_id?: string;
  readonly delegation_path?: readonly string[];
  readonly delegation_chain?: readonly ChainLink[];
  readonly hop_count?: number;
  readonly delegation_graph_epoch?: number;
  readonly act?: ActorClaim;
  readonly may_act?: MayActClaim;
  readonly cnf?: ConfirmationClaim;
  readonly via?: 'gateway';
}

/** A verified mandate. `digest` (SHA-256 of the token, lower-case hex) names it in caches and evidence without holding it. */
export interface VerifiedMandate {
  readonly token: string;
  readonly digest: string;
  readonly kid: string;
  readonly claims: MandateClaims;
}

export const mandateLimits = {
  // A mandate with a full chain of ten hops and 64 targets stays below 6 KiB; Node refuses headers above 16 KiB.
  tokenBytes: 8_192,
  // The longest claim path is act within act; ten hops and the envelope around them.
  jsonDepth: 16,
  audiences: 64,
  targets: 64,
  scopeCharacters: 4_096,
  // What an anchor can name: a subject that could not be revoked must not be signed.
  subjectCharacters: 512,
  uriCharacters: 1_024,
  // The longest delegation path the Coordinator builds (max_hops at most 10).
  hops: 10,
  actors: 10,
  // As many as an application can register.
  mayAct: 16,
} as const;

/**
 * Longest life a mandate of a class may have, seconds. Anchors leave the snapshots after the longest of them, so a
 * verifier refuses a token that claims more.
 */
export const mandateLifeSeconds: Readonly<Record<MandateUse, number>> = { ambient: 3_600, per_call: 900 };
