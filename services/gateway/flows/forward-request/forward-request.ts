// The Gateway's one use case: a call comes in, passes the stages in their order, and is passed on, or is refused at the
// first stage that says so. The order is the security argument; each stage relies on those above it.
import { asFailure, fail, type Failure } from '#mesh/failure';
import { readDecidingHeaders } from '../../domain/bearer.ts';
import type { IncomingCall, ResponseSink } from '../../ports/incoming-call.ts';
import { acceptForResource, checkAnchors, limitRate, spendOnce, verifyBearer } from './authenticate.ts';
import { decide, prepare } from './decide.ts';
import { Exchange, type ForwardDeps, type Stage } from './exchange.ts';
import { admit, locate, readHead } from './locate.ts';
import { OpenResponses } from './open-responses.ts';
import { provePossession } from './prove-possession.ts';
import { leave, refuse } from './refuse.ts';

/** First the cheap and certain, then what asks others, last what cannot be taken back. */
export const stages: readonly Stage[] = [
  admit,
  readHead,
  locate,
  verifyBearer,
  acceptForResource,
  checkAnchors,
  provePossession,
  limitRate,
  spendOnce,
  decide,
  prepare,
];

export interface ForwardRequest {
  /** Governs one call from head to outcome. Never rejects. Resolves when the call was handed to the upstream or refused. */
  forward(call: IncomingCall, sink: ResponseSink): Promise<void>;
  /** Answers that are still open, and what can end them. */
  readonly open: OpenResponses;
}

export function createForwardRequest(deps: ForwardDeps): ForwardRequest {
  const open = new OpenResponses(deps);
  return { open, forward: (call, sink) => forward({ call, sink }, deps, open) };
}

async function forward(
  { call, sink }: { call: IncomingCall; sink: ResponseSink },
  deps: ForwardDeps,
  open: OpenResponses,
): Promise<void> {
  const headers = readDecidingHeaders(call.rawHeaders);
  const begun = { headers, trace: deps.trace(headers.traceparent), startedAtMs: deps.clock.monotonic() };
  const exchange = new Exchange(call, sink, begun);
  sink.onGone(() => {
    exchange.gone = true;
    exchange.cancelQuestion?.();
    exchange.response?.cut('caller_gone');
  });
  const failure = await passStages(exchange, deps);
  // It left before anything was sent for it: there is nobody to refuse, and nothing that failed.
  if (exchange.gone && exchange.upstream === undefined) return leave(exchange, deps);
  if (failure !== undefined) return refuse(exchange, deps, failure);
  const { bearer, verdict, upstream, resource } = exchange;
  if (bearer === undefined || verdict === undefined || upstream === undefined) {
    return refuse(exchange, deps, fail('internal_error'));
  }
  const response = open.open(exchange, { bearer, verdict, upstream, http2: resource?.kind === 'grpc' });
  exchange.response = response;
  response.send();
}

async function passStages(exchange: Exchange, deps: ForwardDeps): Promise<Failure | undefined> {
  try {
    for (const stage of stages) {
      const result = stage(exchange, deps);
      // Waiting only where there is something to wait for keeps the warm path in one turn.
      const failure = result instanceof Promise ? await result : result;
      if (failure !== undefined || exchange.gone) return failure;
    }
    return undefined;
  } catch (error) {
    return asFailure(error);
  }
}
