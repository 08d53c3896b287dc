// Session mandates from the STS over mutual TLS.
import { createClient, type Transport } from '@connectrpc/connect';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { fail } from '#mesh/failure';
import { failureFromConnect } from '#mesh/rpc';
import type { SessionMinter } from '../../ports/session-minter.ts';

/** An STS that has not answered within this time is away for the caller; minting waits for nothing else that long. */
const mintTimeoutMs = 5_000;

export function createSessionMinter(transport: Transport): SessionMinter {
  const client = createClient(StsService, transport);
  return {
    mint: async (caller, wish, requestId) => {
      try {
        const minted = await client.mintSession(
          {
            bearer: caller.bearer,
            zoneId: caller.zoneId,
            agentSessionId: wish.sessionId,
            delegationEdgeId: wish.edgeId ?? '',
            scopes: [...wish.scopes],
            resources: [...wish.resources],
            ttlSeconds: wish.ttlSeconds,
            minDelegationEpoch: BigInt(wish.minDelegationEpoch),
            bearerDpopProof: caller.shown.dpop ?? '',
            bearerDpopPath: caller.shown.path,
            bearerX5tS256: caller.shown.certificateThumbprint ?? '',
            dpopJkt: wish.dpopJkt ?? '',
          },
          { timeoutMs: mintTimeoutMs, headers: { 'x-request-id': requestId } },
        );
        return {
          token: minted.mandate,
          expiresInSeconds: minted.expiresIn,
          scopes: minted.scopes,
          resources: minted.resources,
        };
      } catch (error) {
        throw asStsFailure(error);
      }
    },
  };
}

/** What the STS said stands; an STS that could not be asked is away. */
function asStsFailure(error: unknown): Error {
  const failure = failureFromConnect(error);
  return failure.reason === 'internal_error' ? fail('sts_unavailable', { cause: error }) : failure;
}
