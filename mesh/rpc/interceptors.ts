/**
 * What every call gets on the server side: a bounded deadline, failures in the one form, a metric and a log line.
 * It stands alone so that handlers hold nothing but their flow.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import type { Interceptor, UnaryRequest, UnaryResponse } from '@connectrpc/connect';
import { callerName } from '#mesh/identity';
import type { Logger, Metrics } from '#mesh/telemetry';
import { callerOfValues, factsOfValues } from './call-context.ts';
import { connectErrorOf } from './failure-detail.ts';

/** The longest a unary call may take, whatever its client asked for (surfaces.md). */
const maxUnaryMs = 30_000;

export interface CallRecord {
  readonly rpc: string;
  readonly code: string;
  readonly error: unknown;
  readonly durationMs: number;
  readonly requestId: string;
  readonly traceId: string;
  readonly caller: string;
}

export type RecordCall = (record: CallRecord) => void;

/** Lines and series of RPCs. Labels hold `Service/Method`: bounded, and short enough to stay readable. */
export function createCallRecorder({ logger, metrics }: { logger: Logger; metrics: Metrics }): RecordCall {
  const seconds = metrics.histogram({
    name: 'rpc_seconds',
    help: 'Time to answer RPCs by method and Connect code; streams count until they end.',
    labels: ['rpc', 'code'],
  });
  return ({ rpc, code, error, durationMs, ...facts }) => {
    seconds.observe(durationMs / 1000, { rpc: shortName(rpc), code });
    const fields = { rpc, code, durationMs: Math.round(durationMs * 10) / 10, ...facts };
    if (error === undefined) logger.debug(fields, 'rpc');
    else if (isOurFault(code)) logger.error({ ...fields, error: causeOf(error) }, 'rpc failed');
    else logger.info(fields, 'rpc refused');
  };
}

function shortName(rpc: string): string {
  return rpc.slice(rpc.lastIndexOf('.', rpc.indexOf('/')) + 1);
}

function isOurFault(code: string): boolean {
  return code === 'internal' || code === 'unknown' || code === 'data_loss' || code === 'unavailable';
}

function causeOf(error: unknown): unknown {
  return error instanceof ConnectError ? (error.cause ?? error) : error;
}

/** `now` is monotonic milliseconds. */
export function createServerInterceptor(record: RecordCall, now: () => number = () => performance.now()): Interceptor {
  return (next) => async (request) => {
    const startedMs = now();
    const facts = factsOfValues(request.contextValues);
    const requestId = facts?.requestId ?? '';
    const finish = (error?: ConnectError) =>
      record({
        rpc: `${request.service.typeName}/${request.method.name}`,
        code: error === undefined ? 'ok' : codeName(error.code),
        error,
        durationMs: now() - startedMs,
        requestId,
        traceId: facts?.trace.traceId ?? '',
        caller: callerName(callerOfValues(request.contextValues)),
      });
    const failed = (error: unknown): ConnectError => {
      const wire = connectErrorOf(error, requestId);
      finish(wire);
      return wire;
    };
    try {
      if (request.stream) {
        const response = await next(request);
        if (!response.stream) return response;
        return { ...response, message: watched(response.message, finish, failed) };
      }
      const response = await withinDeadline(request, async (bounded) => (await next(bounded)) as UnaryResponse);
      finish();
      return response;
    } catch (error) {
      throw failed(error);
    }
  };
}

/** A Connect code as its protocol spells it. */
export function codeName(code: Code): string {
  return Code[code].replaceAll(/(?!^)([A-Z])/g, '_$1').toLowerCase();
}

async function* watched<T>(
  messages: AsyncIterable<T>,
  finish: () => void,
  failed: (error: unknown) => ConnectError,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw failed(error);
  }
  finish();
}

/** Answers `deadline_exceeded` in time even when the handler does not listen to its signal. */
async function withinDeadline(
  request: UnaryRequest,
  run: (bounded: UnaryRequest) => Promise<UnaryResponse>,
): Promise<UnaryResponse> {
  const bound = new AbortController();
  const expired = new ConnectError('the deadline passed', Code.DeadlineExceeded);
  const abort = () => bound.abort(request.signal.reason);
  const timer = setTimeout(() => bound.abort(expired), maxUnaryMs);
  timer.unref();
  request.signal.addEventListener('abort', abort, { once: true });
  if (request.signal.aborted) abort();
  const late = new Promise<never>((_resolve, reject) => {
    const refuse = () => reject(bound.signal.reason instanceof ConnectError ? bound.signal.reason : expired);
    if (bound.signal.aborted) refuse();
    else bound.signal.addEventListener('abort', refuse, { once: true });
  });
  try {
    return await Promise.race([run({ ...request, signal: bound.signal }), late]);
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener('abort', abort);
    // The race is over; a later rejection of the loser is nobody's news.
    late.catch(() => undefined);
  }
}
