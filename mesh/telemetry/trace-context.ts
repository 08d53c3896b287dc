// Where a request stands in its distributed trace, as W3C Trace Context carries it.
// It stands alone because every hop, Redis included, passes this on even where no tracing backend exists.
import { randomBytes } from 'node:crypto';

export interface TraceContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits: the span that does the work now. */
  readonly spanId: string;
  /** The span that asked for it; undefined at the start of a trace. */
  readonly parentSpanId?: string | undefined;
  /** What the next hop is sent. */
  readonly traceparent: string;
}

// W3C Trace Context Level 1 §3.2.2: version "-" trace-id "-" parent-id "-" trace-flags, lower-case hex only.
const form = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** §3.2.2.5: of the flags only `sampled` is known; the others must be sent as zero. */
const sampledFlag = 0x01;

/** A header of version 00 has 55 characters; one of a later version that is much longer is not worth reading. */
const maxLength = 256;

/** Asking the system once for a hundred ids costs about as much as asking for one. */
const pooledBytes = 2048;
let pool = '';
let taken = 0;

function randomHex(digits: number): string {
  if (taken + digits > pool.length) {
    pool = randomBytes(pooledBytes).toString('hex');
    taken = 0;
  }
  taken += digits;
  return pool.slice(taken - digits, taken);
}

function newSpanId(): string {
  const id = randomHex(16);
  // §3.2.2.4: all zeroes is invalid.
  return id === '0000000000000000' ? newSpanId() : id;
}

function newTraceId(): string {
  const id = randomHex(32);
  // §3.2.2.3: all zeroes is invalid.
  return /^0+$/.test(id) ? newTraceId() : id;
}

function context(traceId: string, parentSpanId: string | undefined, isSampled: boolean): TraceContext {
  const spanId = newSpanId();
  const traceparent = `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
  return { traceId, spanId, parentSpanId, traceparent };
}

function sampled(flags: string): boolean {
  return (Number.parseInt(flags, 16) & sampledFlag) !== 0;
}

/** The three parts of a valid `traceparent`; undefined for anything else, which the standard says to ignore (§3.2). */
export function parseTraceparent(
  header: string | undefined,
): { readonly traceId: string; readonly spanId: string; readonly isSampled: boolean } | undefined {
  if (header === undefined || header.length > maxLength) return undefined;
  const match = form.exec(header);
  if (match === null) return undefined;
  const [, version = '', traceId = '', spanId = '', flags = '', rest] = match;
  // Version 00 ends after the flags; later versions may go on after another dash (§3.2.4).
  if (version === '00' && rest !== undefined) return undefined;
  return { traceId, spanId, isSampled: sampled(flags) };
}

/** Continues the trace of a `traceparent` with a new span, or starts a new trace when there is none that is valid. */
export function traceFrom(traceparent?: string): TraceContext {
  const parent = parseTraceparent(traceparent);
  return parent === undefined
    ? context(newTraceId(), undefined, true)
    : context(parent.traceId, parent.spanId, parent.isSampled);
}

/** A new span below the given one, in the same trace and with the same sampling. */
export function childTrace(parent: TraceContext): TraceContext {
  return context(parent.traceId, parent.spanId, sampled(parent.traceparent.slice(-2)));
}
