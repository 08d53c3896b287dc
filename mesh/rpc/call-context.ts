/**
 * What a handler may know about the call it answers: caller, ids, trace, connection, time left.
 * It stands alone so that handlers read it from one place and never from headers.
 */
import { createContextKey, createContextValues } from '@connectrpc/connect';
import type { CallOptions, ContextKey, ContextValues, HandlerContext } from '@connectrpc/connect';
import { anonymous } from '#mesh/identity';
import type { Caller, Connection } from '#mesh/identity';
import { traceFrom } from '#mesh/telemetry';
import type { TraceContext } from '#mesh/telemetry';

export interface CallFacts {
  readonly requestId: string;
  readonly trace: TraceContext;
  /** Undefined only in tests that call a handler without a listener. */
  readonly connection: Connection | undefined;
  /** Ends the call at once, without an answer: for a peer that does not read what it asked for. */
  readonly abandon: () => void;
}

const callerKey: ContextKey<Caller> = createContextKey<Caller>(anonymous, { description: 'caller' });
const factsKey: ContextKey<CallFacts | undefined> = createContextKey<CallFacts | undefined>(undefined, {
  description: 'call facts',
});

type WithValues = Pick<HandlerContext, 'values'>;

/**
 * Who is calling, already authorized by topology. `Mandate` is what the service's own bearer verifier gives; name it
 * where a bearer is expected.
 */
export function callerOf<Mandate = unknown>({ values }: WithValues): Caller<Mandate> {
  return values.get(callerKey) as Caller<Mandate>;
}

/** Request id, trace and connection of the call. */
export function callFactsOf({ values }: WithValues): CallFacts {
  return values.get(factsKey) ?? { requestId: '', trace: traceFrom(), connection: undefined, abandon: () => undefined };
}

export function factsOfValues(values: ContextValues): CallFacts | undefined {
  return values.get(factsKey);
}

export function callValues(facts: CallFacts): ContextValues {
  return createContextValues().set(factsKey, facts);
}

export function setCaller(values: ContextValues, caller: Caller): void {
  values.set(callerKey, caller);
}

export function callerOfValues(values: ContextValues): Caller {
  return values.get(callerKey);
}

/** What an outgoing call carries on behalf of the work it belongs to. */
export interface OutgoingCall {
  readonly requestId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Time left for this work; the server of the call sees it as its deadline. */
  readonly timeoutMs?: number | undefined;
  /** A mandate to call with, where the RPC takes the caller's own bearer. */
  readonly bearer?: string | undefined;
}

/** Options of a generated client's call: `client.getTrace(request, outgoing({ requestId, signal }))`. */
export function outgoing({ requestId, traceparent, signal, timeoutMs, bearer }: OutgoingCall): CallOptions {
  const headers: Record<string, string> = {};
  if (requestId !== undefined) headers['x-request-id'] = requestId;
  if (traceparent !== undefined) headers['traceparent'] = traceparent;
  if (bearer !== undefined) headers['authorization'] = `Bearer ${bearer}`;
  return {
    headers,
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs: Math.max(1, Math.floor(timeoutMs)) }),
  };
}
