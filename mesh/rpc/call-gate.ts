/**
 * Lets a call in or refuses it, before its body is read.
 * It stands alone because refusing late would let strangers make us parse.
 */
import type { HandlerContext } from '@connectrpc/connect';
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
      throw connectErrorOf(error, requestId);
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
  const authorization = context.requestHeader.get('authorization');
  return authorization === null ? caller : await identity.verifyBearer(authorization);
}
