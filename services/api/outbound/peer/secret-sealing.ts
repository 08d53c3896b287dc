// SecretSealing over the STS's stream.
import { createClient, type Transport } from '@connectrpc/connect';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { outgoing } from '#mesh/rpc';
import type { SecretSealing } from '../../ports/secret-sealing.ts';
import { peerFailure } from './peer-failure.ts';

export function createSecretSealing(transport: Transport): SecretSealing {
  const client = createClient(StsService, transport);
  return {
    async *reseal(zoneId, { requestId, traceparent }, signal) {
      try {
        const options = outgoing({ requestId, traceparent, signal });
        for await (const step of client.resealSecrets({ zoneId: zoneId ?? '' }, options)) {
          const { checked, resealed, current, failed, done } = step;
          yield {
            checked: Number(checked),
            resealed: Number(resealed),
            current: Number(current),
            failed: Number(failed),
            done,
          };
        }
      } catch (error) {
        throw peerFailure(error, 'sts_unavailable');
      }
    },
  };
}
