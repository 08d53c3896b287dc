// Providers and connections at the STS, over mutual TLS.
import { createClient, type Transport } from '@connectrpc/connect';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { reasonOfNumber } from '#mesh/failure';
import { outgoing } from '#mesh/rpc';
import type { CallFacts } from '../../ports/control-store.ts';
import type { ProviderPeer } from '../../ports/provider-peer.ts';
import { peerFailure } from './peer-failure.ts';

/** Two tries of five seconds at a slow provider, and a wait for another replica that is asking it. */
const timeoutMs = 20_000;

const momentOf = (ms: bigint): number | undefined => (ms === 0n ? undefined : Number(ms));

export function createProviderPeer(transport: Transport): ProviderPeer {
  const client = createClient(StsService, transport);
  async function call<T>(facts: CallFacts, ask: (options: ReturnType<typeof outgoing>) => Promise<T>): Promise<T> {
    const { requestId, traceparent } = facts;
    try {
      return await ask(outgoing({ requestId, traceparent, timeoutMs }));
    } catch (error) {
      throw peerFailure(error, 'sts_unavailable');
    }
  }
  return {
    test: async (test, facts) => {
      const answer = await call(facts, (options) => client.testProvider(test, options));
      return {
        reason: answer.ok ? undefined : (reasonOfNumber(answer.reason) ?? 'internal_error'),
        description: answer.description,
        elapsedMs: answer.elapsedMs,
        expiresAtMs: momentOf(answer.expiresAtMs),
      };
    },
    begin: async (begin, facts) => {
      const { authorizationUrl, state, expiresAtMs } = await call(facts, (options) =>
        client.beginConnection(begin, options),
      );
      return { authorizationUrl, state, expiresAtMs: Number(expiresAtMs) };
    },
    complete: async (complete, facts) => {
      const { connectionId, providerId } = await call(facts, (options) => client.completeConnection(complete, options));
      return { connectionId, providerId };
    },
  };
}
