// The calls about keys that answer in a stream.
import type { ServiceImpl } from '@connectrpc/connect';
import type { StsService } from '#gen/caracal/sts/v1/sts_pb';
import type { ZoneId } from '#mesh/ids';
import { callFactsOf, parseFields } from '#mesh/rpc';
import type { ResealProgress, ResealRequest } from '../../flows/reseal-secrets.ts';

export interface KeyFlows {
  readonly resealSecrets: (request: ResealRequest) => AsyncIterable<ResealProgress>;
}

export function keyCalls(flows: KeyFlows): Pick<ServiceImpl<typeof StsService>, 'resealSecrets'> {
  return {
    async *resealSecrets(request, context) {
      const { zoneId } = parseFields((fields) => ({ zoneId: fields.optionalId<ZoneId>('zone_id', request.zoneId) }));
      const { requestId, trace } = callFactsOf(context);
      const asked = { requestId, traceId: trace.traceId };
      for await (const progress of flows.resealSecrets({ asked, zoneId, signal: context.signal })) {
        const { checked, resealed, current, failed, done } = progress;
        yield {
          checked: BigInt(checked),
          resealed: BigInt(resealed),
          current: BigInt(current),
          failed: BigInt(failed),
          done,
        };
      }
    },
  };
}
