// A world of authority as plain data: applications, resources, users, agent sessions, delegations, and a script of exchanges
// and changes in them. The reference model and the real service are given exactly the same.

/** A world's names are short and mean the same on both sides; whoever runs it gives them real ids. */
export interface World {
  readonly applications: readonly ApplicationFacts[];
  readonly resources: readonly ResourceFacts[];
  readonly users: readonly string[];
  /** Whether who may act for an application may act for users of its mandates too. */
  readonly actorsForUsers: boolean;
  readonly grants: readonly GrantFacts[];
  readonly sessions: readonly SessionFacts[];
  readonly edges: readonly EdgeFacts[];
  /** What policy denies; everything else is allowed. */
  readonly denied: readonly { readonly resource: string; readonly scope: string }[];
  readonly steps: readonly Step[];
}

export interface ApplicationFacts {
  readonly name: string;
  /** Applications that may act for this one's mandates; a mandate that names any is good with an actor only. */
  readonly mayAct: readonly string[];
  /** Seconds after the start; undefined never. */
  readonly expiresIn: number | undefined;
}

export interface ResourceFacts {
  readonly identifier: string;
  readonly scopes: readonly string[];
}

export interface GrantFacts {
  readonly application: string;
  readonly user: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly expiresIn: number | undefined;
}

export interface SessionFacts {
  readonly name: string;
  readonly application: string;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly expiresIn: number;
  readonly state: 'active' | 'suspended' | 'terminated';
}

export interface EdgeFacts {
  readonly name: string;
  readonly parent: string | undefined;
  readonly source: string;
  readonly target: string;
  readonly issuer: string;
  readonly receiver: string;
  readonly scopes: readonly string[];
  /** Empty: those of the source. */
  readonly resources: readonly string[];
  readonly maxHops: number;
  readonly ttlSeconds: number | undefined;
  readonly expiresIn: number;
  readonly state: 'active' | 'pending' | 'revoked';
}

/** One exchange asked of the token endpoint. */
export interface Ask {
  readonly kind: 'ask';
  readonly client: string;
  /** The mandate an earlier step was granted; a step that was refused has none, and the ask is left out. */
  readonly subject: number | undefined;
  readonly actor: number | undefined;
  /** Presents an id token of this user in place of a mandate. */
  readonly user: string | undefined;
  readonly resources: readonly string[];
  readonly scopes: readonly string[] | undefined;
  readonly session: string | undefined;
  readonly edge: string | undefined;
  readonly ttlSeconds: number | undefined;
}

/** Something that happens between two exchanges. */
export type Change =
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'end_session'; readonly session: string }
  | { readonly kind: 'revoke_edge'; readonly edge: string }
  | { readonly kind: 'revoke_mandate'; readonly step: number }
  | { readonly kind: 'revoke_application'; readonly application: string }
  | { readonly kind: 'archive_resource'; readonly resource: string }
  | { readonly kind: 'shrink_resource'; readonly resource: string; readonly scopes: readonly string[] }
  | { readonly kind: 'revoke_grant'; readonly grant: number };

export type Step = Ask | Change;
