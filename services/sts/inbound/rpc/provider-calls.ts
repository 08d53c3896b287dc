// The calls about providers and connections, for the API: each field read against its rule, answered in the contract's words.
import type { ServiceImpl } from '@connectrpc/connect';
import { Reason } from '#gen/caracal/failure/v1/failure_pb';
import type { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { catalogue } from '#mesh/failure';
import type { ProviderId, ZoneId } from '#mesh/ids';
import { callFactsOf, parseFields } from '#mesh/rpc';
import type { ProviderFlows } from '../../flows/connections/provider-flows.ts';

type ProviderCalls = Pick<ServiceImpl<typeof StsService>, 'testProvider' | 'beginConnection' | 'completeConnection'>;

/** As mandates bound it. */
const subjectRule = { max: 512 };
const redirectRule = { max: 2048, pattern: /^[\x21-\x7e]+$/, rule: 'visible ASCII' };
const actorRule = { max: 128 };
/** 32 bytes in base64url. */
const stateRule = { max: 43, min: 43, pattern: /^[A-Za-z0-9_-]+$/, rule: 'base64url' };
/** RFC 6749 appendix A.11; servers put whole tokens into codes. */
const codeRule = { max: 4096, pattern: /^[\x20-\x7e]+$/, rule: 'visible ASCII' };
const issuerRule = { max: 2048, pattern: /^[\x21-\x7e]+$/, rule: 'visible ASCII' };

type Context = Parameters<typeof callFactsOf>[0];

function askedOf(context: Context): { requestId: string; traceId: string } {
  const { requestId, trace } = callFactsOf(context);
  return { requestId, traceId: trace.traceId };
}

const expiryOf = (expiresAtMs: number | undefined): bigint => BigInt(Math.floor(expiresAtMs ?? 0));

export function providerCalls(flows: ProviderFlows): ProviderCalls {
  return {
    async testProvider(request, context) {
      const parsed = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        providerId: fields.id<ProviderId>('provider_id', request.providerId),
        subject: fields.optionalText('subject', request.subject, subjectRule) ?? '',
      }));
      const tested = await flows.test({ ...parsed, asked: askedOf(context) });
      return {
        ok: tested.reason === undefined,
        reason: tested.reason === undefined ? Reason.UNSPECIFIED : (catalogue[tested.reason].number as Reason),
        description: tested.description,
        elapsedMs: tested.elapsedMs,
        expiresAtMs: expiryOf(tested.expiresAtMs),
      };
    },

    async beginConnection(request, context) {
      const parsed = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        providerId: fields.id<ProviderId>('provider_id', request.providerId),
        subject: fields.optionalText('subject', request.subject, subjectRule) ?? '',
        redirectUri: fields.text('redirect_uri', request.redirectUri, redirectRule),
        actorId: fields.text('actor_id', request.actorId, actorRule),
      }));
      const begun = await flows.begin({ ...parsed, asked: askedOf(context) });
      return { ...begun, expiresAtMs: expiryOf(begun.expiresAtMs) };
    },

    async completeConnection(request, context) {
      const parsed = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        state: fields.text('state', request.state, stateRule),
        code: fields.text('code', request.code, codeRule),
        issuer: fields.optionalText('issuer', request.issuer, issuerRule) ?? '',
        actorId: fields.text('actor_id', request.actorId, actorRule),
      }));
      const completed = await flows.complete({ ...parsed, asked: askedOf(context) });
      return { ...completed, scopes: [...completed.scopes], expiresAtMs: expiryOf(completed.expiresAtMs) };
    },
  };
}
