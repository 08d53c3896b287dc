/**
 * Lets a call in or refuses it, before its body is read.
 * It stands alone because refusing late would let strangers make us parse.
 */
import type { ConnectError, HandlerContext } from '@connectrpc/connect';
import { Failure } from '#mesh/failure';
import { proofChallenge } from '#mesh/mandate';
import { acceptsBearer, authorizeCall, connectionCallerOf, judgeCall } from '#mesh/identity';
import type { Caller, Identity, RawRequest, RefusedCall } from '#mesh/identity';
import { callFactsOf, setCaller } from './call-context.ts';
import type { CallFacts } from './call-context.ts';
import { connectErrorOf } from './failure-detail.ts';

export interface GateOptions {
  readonly identity: Identity;
  readonly openRpcs: ReadonlySet<string>;
  readonly onRefused: (refused: RefusedCall & { readonly requestId: string; readonly traceId: string }) => void;
  /** Told about every call that did not get in, whatever the reason. */
  readonly onTurnedAway: (rpc: string, error: unknown, facts: CallFacts) => void;
}

/** `<package>.<Service>/<Method>`, the key of topology. */
function rpcName({ service, method }: Pick<HandlerContext, 'service' | 'method'>): string {
  return `${service.typeName}/${method.name}`;
}

/** The raw request of each call in flight is found by its facts. */
export function createGate(options: GateOptions, rawOf: (context: HandlerContext) => RawRequest | undefined) {
  return async (context: HandlerContext): Promise<void> => {
    const rpc = rpcName(context);
    const facts = callFactsOf(context);
    const { requestId, trace } = facts;
    try {
      const caller = await resolveCaller(context, { rpc, raw: rawOf(context), options });
      const { openRpcs } = options;
      const onRefused = (refused: RefusedCall) => options.onRefused({ ...refused, requestId, traceId: trace.traceId });
      authorizeCall(caller, rpc, { openRpcs, onRefused });
      setCaller(context.values, caller);
    } catch (error) {
      options.onTurnedAway(rpc, error, facts);
      throw challenging(connectErrorOf(error, requestId), options.identity);
    }
  };
}

interface Resolution {
  readonly rpc: string;
  readonly raw: RawRequest | undefined;
  readonly options: GateOptions;
}

/** The connection's caller when it may call; else the bearer's, where the RPC takes bearers and one was sent. */
async function resolveCaller(context: HandlerContext, { rpc, raw, options }: Resolution): Promise<Caller> {
  const caller: Caller = raw === undefined ? { kind: 'anonymous' } : connectionCallerOf(raw);
  const { openRpcs, identity } = options;
  if (judgeCall(caller, rpc, { openRpcs }).kind === 'allowed' || !acceptsBearer(rpc)) return caller;
  const shown = raw !== undefined && context.requestHeader.get('authorization') !== null;
  return shown ? await identity.verifyBearer(raw) : caller;
}

/** RFC 9449 §7.1 and §9: a caller whose proof was refused is told the scheme, and gets the nonce of its next one. */
function challenging(error: ConnectError, identity: Identity): ConnectError {
  const failure = error.cause instanceof Failure ? error.cause : undefined;
  const challenge = failure === undefined ? undefined : proofChallenge(failure);
  const nonce = challenge === undefined ? undefined : identity.proofNonce();
  if (challenge === undefined || nonce === undefined) return error;
  error.metadata.set('www-authenticate', challenge);
  error.metadata.set('dpop-nonce', nonce);
  return error;
}
