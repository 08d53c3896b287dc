// The unary calls of the STS: each parsed field by field, handed to its flow, and answered in the contract's words.
import type { ServiceImpl } from '@connectrpc/connect';
import type { MintSessionRequest, StsService } from '#gen/caracal/sts/v1/sts_pb';
import { isScopeToken, maxScopeLength, maxScopes } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { AgentSessionId, EdgeId, KeyId, ZoneId } from '#mesh/ids';
import { callFactsOf, parseFields } from '#mesh/rpc';
import type { FieldReader } from '#mesh/rpc';
import type { MadeZoneKey } from '../../flows/keep-secrets.ts';
import type { SessionGrant, SessionMintRequest } from '../../flows/mint-session.ts';

/** The flows behind the calls, bound to their ports. */
export interface UnaryFlows {
  readonly mintSession: (request: SessionMintRequest) => Promise<SessionGrant>;
  readonly makeZoneKey: (keyId: string) => MadeZoneKey;
  readonly sealSecret: (
    secret: Uint8Array,
    location: { readonly table: string; readonly column: string; readonly rowId: string },
  ) => Uint8Array;
}

type Unary = Pick<ServiceImpl<typeof StsService>, 'mintSession' | 'makeZoneKey' | 'sealSecret'>;

/** Bounds of the contract's comments (sts.proto). */
const maxBearer = 8192;
const maxResources = 64;
const maxResourceLength = 512;
const maxTtlSeconds = 86_400;
const maxSecretBytes = 64 * 1024;
const maxProof = 8192;
const maxPath = 8192;
/** SHA-256 in base64url (RFC 7638 §3, RFC 8705 §3.1). */
const thumbprint = { min: 43, max: 43, pattern: /^[A-Za-z0-9_-]+$/, rule: 'a SHA-256 thumbprint in base64url' };
const columnName = { max: 128, pattern: /^[a-z][a-z0-9_.]*$/, rule: 'a name of lower-case words' };

function scopesOf(fields: FieldReader, values: readonly string[]): string[] {
  return fields.list('scopes', values, {
    max: maxScopes,
    each: (path, value) => {
      if (!isScopeToken(value)) fields.refuse(path, `a scope token of at most ${maxScopeLength} characters`);
      return value;
    },
  });
}

function parseSessionMint(request: MintSessionRequest): Omit<SessionMintRequest, 'asked'> {
  return parseFields((fields) => ({
    bearer: fields.text('bearer', request.bearer, { max: maxBearer }),
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    agentSessionId: fields.id<AgentSessionId>('agent_session_id', request.agentSessionId),
    delegationEdgeId: fields.optionalId<EdgeId>('delegation_edge_id', request.delegationEdgeId),
    scopes: scopesOf(fields, request.scopes),
    resources: fields.list('resources', request.resources, {
      max: maxResources,
      each: (path, value) => fields.text(path, value, { max: maxResourceLength }),
    }),
    ttlSeconds: fields.integer('ttl_seconds', request.ttlSeconds, { min: 0, max: maxTtlSeconds }) || undefined,
    minDelegationEpoch: fields.integer('min_delegation_epoch', request.minDelegationEpoch, {
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
    }),
    passedOn: {
      dpop: fields.optionalText('bearer_dpop_proof', request.bearerDpopProof, { max: maxProof }),
      path: fields.text('bearer_dpop_path', request.bearerDpopPath, { min: 0, max: maxPath }),
      certificateThumbprint: fields.optionalText('bearer_x5t_s256', request.bearerX5tS256, thumbprint),
    },
    childJkt: fields.optionalText('dpop_jkt', request.dpopJkt, thumbprint),
  }));
}

/** Answers the unary calls. */
export function unaryHandlers(flows: UnaryFlows): Unary {
  return {
    async mintSession(request, context) {
      const { requestId, trace } = callFactsOf(context);
      const asked = { requestId, traceId: trace.traceId };
      const grant = await flows.mintSession({ ...parseSessionMint(request), asked });
      const { mandate, expiresInSeconds: expiresIn, jti } = grant;
      return { mandate, expiresIn, scopes: [...grant.scopes], resources: [...grant.resources], jti };
    },

    makeZoneKey(request) {
      const { keyId } = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        keyId: fields.id<KeyId>('key_id', request.keyId),
      }));
      const made = flows.makeZoneKey(keyId);
      return { envelope: new Uint8Array(made.envelope), publicJwk: made.publicJwkJson };
    },

    sealSecret(request) {
      const parsed = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        table: fields.text('table', request.table, columnName),
        column: fields.text('column', request.column, columnName),
        rowId: fields.id('row_id', request.rowId),
        secret: fields.bytes('secret', request.secret, { min: 1, max: maxSecretBytes }),
      }));
      return { envelope: new Uint8Array(flows.sealSecret(parsed.secret, parsed)) };
    },
  };
}

/** A peer call that reached a handler without its peer; the topology refuses it before, this keeps it refused. */
export function noPeer(): never {
  throw fail('permission_denied');
}
