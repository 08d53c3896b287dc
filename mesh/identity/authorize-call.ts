/**
 * Whether a caller may call an RPC, by the one table of topology.
 * It stands alone so that the rule can be read, and tested over the whole table, without a socket.
 */
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import { rpcs } from '#mesh/topology';
import type { RpcCaller } from '#mesh/topology';
import type { Caller, ConnectionCaller } from './caller.ts';

/** What a refusal leaves as evidence. */
export interface RefusedCall {
  readonly caller: ConnectionCaller | Caller;
  /** `<package>.<Service>/<Method>`. */
  readonly rpc: string;
  readonly reason: 'permission_denied' | 'unauthenticated';
}

export type CallVerdict =
  { readonly kind: 'allowed' } | { readonly kind: 'refused'; readonly reason: RefusedCall['reason'] };

export interface CallRules {
  /** RPCs open to anyone beyond the table, such as reflection in dev. */
  readonly openRpcs?: ReadonlySet<string>;
}

const allowed: CallVerdict = { kind: 'allowed' };

/** Pure. An RPC that the table does not know is refused for everyone. */
export function judgeCall(caller: Caller, rpc: string, rules: CallRules = {}): CallVerdict {
  const callers = callersOf(rpc);
  if (callers.includes('anyone') || rules.openRpcs?.has(rpc) === true) return allowed;
  const role = roleOf(caller);
  if (role !== undefined && callers.includes(role)) return allowed;
  return { kind: 'refused', reason: caller.kind === 'anonymous' ? 'unauthenticated' : 'permission_denied' };
}

/** True when the table lets holders of mandates call this RPC: then a bearer token is worth verifying. */
export function acceptsBearer(rpc: string): boolean {
  return callersOf(rpc).includes('bearer');
}

/** Returns when the call is allowed; else reports the refusal and throws `permission_denied` or `unauthenticated`. */
export function authorizeCall(
  caller: Caller,
  rpc: string,
  options: CallRules & { readonly onRefused?: (refused: RefusedCall) => void } = {},
): void {
  const verdict = judgeCall(caller, rpc, options);
  if (verdict.kind === 'allowed') return;
  options.onRefused?.({ caller, rpc, reason: verdict.reason });
  throw refusal(verdict.reason, rpc);
}

function refusal(reason: RefusedCall['reason'], rpc: string): Failure {
  return fail(reason, { privateDetail: `caller not listed for ${rpc}` });
}

function callersOf(rpc: string): readonly RpcCaller[] {
  return Object.hasOwn(rpcs, rpc) ? (rpcs[rpc]?.callers ?? []) : [];
}

/** An Envoy proxy has no role in the table: its one surface checks it by name. */
function roleOf(caller: Caller): RpcCaller | undefined {
  switch (caller.kind) {
    case 'peer':
      return caller.service;
    case 'operator':
      return 'operator';
    case 'bearer':
      return 'bearer';
    case 'envoy':
    case 'anonymous':
      return undefined;
  }
}
