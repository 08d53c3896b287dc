// What the token endpoint was asked, after its form was read: the input of the exchange and nothing of HTTP.
import type { ConfirmationClaim } from '#mesh/mandate';
import type { Asked } from '../evidence.ts';
import type { PresentedProof } from '../possession.ts';
import type { ClientCredential } from './authenticate-client.ts';

/** RFC 8693 §2.1: a token in the request with the type the caller gives it. */
export interface SubjectToken {
  readonly token: string;
  readonly type: 'access_token' | 'id_token';
}

/** A hold that the caller says was resolved, and the secret that shows the hold was raised for it. */
export interface PresentedChallenge {
  readonly id: string;
  readonly secret: string;
}

export interface TokenRequest {
  readonly asked: Asked;
  /** The address the request came from, for counting failures. */
  readonly source: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly credential: ClientCredential;
  /** Identifiers, each once, in the order asked for. */
  readonly resources: readonly string[];
  /** Undefined asks for everything that is allowed. */
  readonly scopes: readonly string[] | undefined;
  readonly subject: SubjectToken | undefined;
  /** An ambient mandate of the party that acts for the subject (RFC 8693 §1.1). */
  readonly actorToken: string | undefined;
  readonly agentSessionId: string | undefined;
  readonly delegationEdgeId: string | undefined;
  readonly ttlSeconds: number | undefined;
  readonly challenge: PresentedChallenge | undefined;
  readonly proof: PresentedProof;
}

/** Why one resource was not granted. */
export interface DeniedResource {
  readonly resource: string;
  readonly error: string;
  readonly description: string;
  readonly diagnostics: readonly object[];
}

/** RFC 8693 §2.2.1, with what was really granted. */
export interface TokenGrant {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  /** The key it is bound to; undefined for a bearer. */
  readonly confirmation: ConfirmationClaim | undefined;
  readonly scopes: readonly string[];
  readonly targets: readonly string[];
  readonly denied: readonly DeniedResource[];
}
