// The one exception of the house: a reason of the catalogue, what the caller may read, and what only the log may.
// It stands alone so that public words and private detail can never be mixed up on the way to a surface.
import { catalogue, isFailureReason, type CatalogueEntry, type FailureReason } from './catalogue.ts';
import type { JsonObject } from './json.ts';

/** One rule of one field that the request broke. The value itself is never repeated. */
export interface FieldViolation {
  /** Where: a JSON path such as `scopes[3]`. */
  readonly path: string;
  /** The rule as a sentence: "at most 64 entries". */
  readonly rule: string;
}

export interface FailureOptions {
  /** A public sentence in place of the catalogue's. Safe for anyone to read. */
  readonly description?: string | undefined;
  /** At most 32 are kept (caracal.failure.v1.Failure.fields). */
  readonly fields?: readonly FieldViolation[] | undefined;
  /** Extra facts that are safe to show. */
  readonly details?: JsonObject | undefined;
  /** Milliseconds to wait before the next try. */
  readonly retryAfterMs?: number | undefined;
  /** For the log alone; no surface renders it. */
  readonly privateDetail?: string | undefined;
  /** For the log alone. */
  readonly cause?: unknown;
}

/** What the wire promises at most; more helps nobody and a hostile body could ask for thousands. */
const maxFields = 32;

/** Says that a flow cannot go on, and why. `message` is `reason` and private detail, for logs; `description` is public. */
export class Failure extends Error {
  readonly reason: FailureReason;
  readonly description: string;
  readonly fields: readonly FieldViolation[];
  readonly details: JsonObject | undefined;
  readonly retryAfterMs: number | undefined;
  readonly privateDetail: string | undefined;

  constructor(reason: FailureReason, options: FailureOptions = {}) {
    const { privateDetail, cause } = options;
    super(privateDetail === undefined ? reason : `${reason}: ${privateDetail}`, cause === undefined ? {} : { cause });
    this.name = 'Failure';
    this.reason = reason;
    this.description = options.description ?? catalogue[reason].sentence;
    this.fields = (options.fields ?? []).slice(0, maxFields);
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
    this.privateDetail = privateDetail;
  }

  /** What the reason looks like on each surface. */
  get entry(): CatalogueEntry {
    return catalogue[this.reason];
  }
}

/** Makes a failure to throw: `throw fail('not_found')`. */
export function fail(reason: FailureReason, options: FailureOptions = {}): Failure {
  return new Failure(reason, options);
}

/**
 * How a library that knows no Failure (row 1 of the mesh) says which reason its error has: the error carries
 * `failureReason`, and its `message` is a public sentence that repeats no value.
 */
export interface ReasonedError extends Error {
  readonly failureReason: FailureReason;
}

function isReasoned(error: unknown): error is ReasonedError {
  return error instanceof Error && 'failureReason' in error && isFailureReason(error.failureReason);
}

/**
 * The failure an error stands for: itself, the one its `failureReason` names, or `internal_error`. The error that is
 * not itself a Failure is kept as the cause; nothing of an unlisted error shows outside.
 */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (isReasoned(error)) return new Failure(error.failureReason, { description: error.message, cause: error });
  return new Failure('internal_error', { cause: error });
}
