// The STS over mutual TLS: keys, envelopes and the checking of policies.
import { createClient, type Transport } from '@connectrpc/connect';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { canonicalJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { outgoing } from '#mesh/rpc';
import type { CallFacts } from '../../ports/control-store.ts';
import type { StsPeer } from '../../ports/sts-peer.ts';
import { asPolicyFailure } from './peer-failure.ts';

/** Making a key or sealing takes a millisecond; an STS that needs longer than this is away for a person who waits. */
const timeoutMs = 5_000;
/** A set of 256 policies is compiled as a whole. */
const validateTimeoutMs = 20_000;

/** Our own STS wrote it; what is no object is its fault and no token's. */
function readClaims(text: string): JsonObject {
  const claims: unknown = JSON.parse(text);
  if (typeof claims !== 'object' || claims === null) throw fail('sts_unavailable', { privateDetail: 'odd claims' });
  return claims as JsonObject;
}

export function createStsPeer(transport: Transport): StsPeer {
  const client = createClient(StsService, transport);
  const call = async <T>(
    facts: CallFacts,
    ask: (options: ReturnType<typeof outgoing>) => Promise<T>,
    ms = timeoutMs,
  ) => {
    const { requestId, traceparent } = facts;
    try {
      return await ask(outgoing({ requestId, traceparent, timeoutMs: ms }));
    } catch (error) {
      throw asPolicyFailure(error);
    }
  };
  return {
    makeZoneKey: async (zoneId, keyId, facts) => {
      const made = await call(facts, (options) => client.makeZoneKey({ zoneId, keyId }, options));
      return { keyId, publicJwkJson: made.publicJwk, envelope: made.envelope };
    },
    sealSecret: async ({ zoneId, rowId, value }, facts) => {
      const place = { table: 'api.provider_secrets', column: 'envelope', rowId };
      const secret = Buffer.from(value, 'utf8');
      return (await call(facts, (options) => client.sealSecret({ zoneId, ...place, secret }, options))).envelope;
    },
    validate: async ({ zoneId, policies, params }, facts) => {
      const request = {
        zoneId,
        policies: policies.map(({ policyVersionId, name, content }) => ({ policyVersionId, name, content })),
        paramsJson: canonicalJson(params),
      };
      return (await call(facts, (options) => client.validatePolicy(request, options), validateTimeoutMs)).problems;
    },
    policyStatus: async (zoneId, facts) => {
      const status = await call(facts, (options) => client.policyStatus({ zoneId }, options));
      return {
        versionId: status.policySetVersionId === '' ? undefined : status.policySetVersionId,
        digest: status.policyDigest === '' ? undefined : status.policyDigest,
        loaded: status.loaded,
      };
    },
    introspect: async (zoneId, token, facts) => {
      const told = await call(facts, (options) => client.introspect({ zoneId, token }, options));
      return told.active ? { ...readClaims(told.claimsJson), active: true } : { active: false };
    },
  };
}
