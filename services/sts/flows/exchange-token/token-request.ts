// What the token endpoint was asked, after its form was read: the input of the exchange and nothing of HTTP.
import type { Asked } from '../evidence.ts';

export interface TokenRequest {
  readonly asked: Asked;
  /** The address the request came from, for counting failures. */
  readonly source: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly clientSecret: string;
  /** Identifiers, each once, in the order asked for. */
  readonly resources: readonly string[];
  /** Undefined asks for everything that is allowed. */
  readonly scopes: readonly string[] | undefined;
  readonly subjectToken: string | undefined;
  readonly agentSessionId: string | undefined;
  readonly delegationEdgeId: string | undefined;
  readonly ttlSeconds: number | undefined;
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
  readonly scopes: readonly string[];
  readonly targets: readonly string[];
  readonly denied: readonly DeniedResource[];
}
