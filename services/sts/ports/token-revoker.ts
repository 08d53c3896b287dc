// The need: that a mandate ends for good, with its evidence, in one transaction.
import type { AnchorRef } from '#mesh/mandate';

export interface TokenRevocation {
  readonly zoneId: string;
  readonly anchor: AnchorRef;
  readonly requestId: string;
  readonly traceId: string | undefined;
  /** The client that asked. */
  readonly applicationId: string;
  /** The mandate that was presented. */
  readonly jti: string;
  readonly use: string;
}

export interface TokenRevoker {
  /** Commits and answers with the revocation number. Throws `store_unavailable`. */
  revoke(revocation: TokenRevocation): Promise<number>;
}
