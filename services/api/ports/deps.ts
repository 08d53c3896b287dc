// What the flows of the control plane may use.
import type { JsonObject } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { PolicyTemplate } from '../domain/policy-template.ts';
import type { AgentSessions } from './agent-sessions.ts';
import type { ControlStore } from './control-store.ts';
import type { ProviderPeer } from './provider-peer.ts';
import type { LedgerReader } from './ledger.ts';
import type { PolicyTrials, RecordedDecisions } from './policy-trials.ts';
import type { SubjectIssuerRules } from '../domain/subject-issuer.ts';
import type { Propagation, RevocationBarrier } from '#mesh/revocation';
import type { SecretSealing } from './secret-sealing.ts';
import type { StsPeer } from './sts-peer.ts';

export interface ApiDeps {
  readonly store: ControlStore;
  readonly sts: StsPeer;
  readonly sealing: SecretSealing;
  readonly providers: ProviderPeer;
  readonly ledger: LedgerReader;
  readonly trials: PolicyTrials;
  readonly policyTemplates: readonly PolicyTemplate[];
  readonly recorded: RecordedDecisions;
  readonly sessions: AgentSessions;
  readonly barrier: RevocationBarrier;
  readonly propagation: Propagation;
  /** How long a new zone key is published before it signs. */
  readonly zoneKeyLeadSeconds: number;
  readonly newId: IdSource;
  /** Milliseconds of a clock that only grows. */
  readonly monotonicMs: () => number;
  /** What an issuer of users may not be here. */
  readonly subjectIssuerRules: SubjectIssuerRules;
  /** So many bytes nobody can guess. */
  readonly random: (bytes: number) => Uint8Array;
  /** True for a JWK the platform verifies signatures with. */
  readonly isPublicKey: (jwk: JsonObject) => boolean;
  /** Argon2id in the stored form; `rate_limited` when too many wait. */
  readonly hashSecret: (secret: string) => Promise<string>;
  /** Digests under which a request's body may be known, the one to store first; keyed, for bodies hold secrets. */
  readonly bodyDigests: (body: string) => readonly string[];
}
