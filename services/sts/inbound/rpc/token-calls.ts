// The calls about tokens that exist: what one is worth, for administrators, and what is revoked, for verifiers outside the
// installation.
import type { ServiceImpl } from '@connectrpc/connect';
import { create } from '@bufbuild/protobuf';
import { WatchRevocationsResponseSchema } from '#gen/caracal/sts/v1/sts_pb';
import type { StsService, WatchRevocationsResponse } from '#gen/caracal/sts/v1/sts_pb';
import type { ZoneId } from '#mesh/ids';
import type { ProvenMandate } from '#mesh/mandate';
import { callFactsOf, callerOf, parseFields } from '#mesh/rpc';
import type { Introspection } from '../../domain/introspection.ts';
import type { WatchFrame, WatchRequest } from '../../flows/watch-revocations.ts';
import { noPeer } from './unary.ts';

export interface TokenCallFlows {
  readonly introspectForZone: (zoneId: string, token: string) => Promise<Introspection>;
  readonly watchRevocations: (request: WatchRequest) => AsyncIterable<WatchFrame>;
  readonly onWatch: (opened: boolean) => void;
  /** Calls back when this process begins to drain; gives a function that stops listening. */
  readonly onDrain: (listener: () => void) => () => void;
}

type TokenCalls = Pick<ServiceImpl<typeof StsService>, 'introspect' | 'watchRevocations'>;

/** No mandate is longer; what is cannot be one. */
const tokenRule = { max: 8192 };

function anchorsOf(frame: Exclude<WatchFrame, { kind: 'heartbeat' }>) {
  return frame.anchors.map(({ number, kind, id }) => ({ number: BigInt(number), kind, id }));
}

function message(frame: WatchFrame): WatchRevocationsResponse {
  const head = BigInt(frame.head);
  switch (frame.kind) {
    case 'snapshot': {
      const value = { head, anchors: anchorsOf(frame), complete: frame.complete };
      return create(WatchRevocationsResponseSchema, { frame: { case: 'snapshot', value } });
    }
    case 'revocations': {
      const value = { head, anchors: anchorsOf(frame) };
      return create(WatchRevocationsResponseSchema, { frame: { case: 'revocations', value } });
    }
    case 'heartbeat': {
      const value = { head, fresh: frame.fresh };
      return create(WatchRevocationsResponseSchema, { frame: { case: 'heartbeat', value } });
    }
  }
}

export function tokenCalls(flows: TokenCallFlows): TokenCalls {
  return {
    async introspect(request) {
      const { zoneId, token } = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        token: fields.text('token', request.token, tokenRule),
      }));
      const told = await flows.introspectForZone(zoneId, token);
      return told.active ? { active: true, claimsJson: JSON.stringify(told) } : { active: false, claimsJson: '' };
    },

    async *watchRevocations(request, context) {
      const caller = callerOf<ProvenMandate>(context);
      if (caller.kind !== 'bearer') noPeer();
      const { zoneId } = parseFields((fields) => ({ zoneId: fields.id<ZoneId>('zone_id', request.zoneId) }));
      const { requestId, trace, abandon } = callFactsOf(context);
      const draining = new AbortController();
      const stop = flows.onDrain(() => draining.abort());
      const signal = AbortSignal.any([context.signal, draining.signal]);
      const { mandate } = caller;
      const asked = { requestId, traceId: trace.traceId };
      flows.onWatch(true);
      try {
        const watch = { asked, zoneId, mandate, proven: mandate.proven, signal, abandon };
        for await (const frame of flows.watchRevocations(watch)) yield message(frame);
      } finally {
        flows.onWatch(false);
        stop();
      }
    },
  };
}
