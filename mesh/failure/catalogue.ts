// The closed list of reasons why a call can fail, and what each looks like on every surface.
// It stands alone as data: the proto enum and docs/reference/errors.md are held equal to it by a test.
import type { CatalogueRow } from './catalogue-row.ts';
import type { ConnectCodeName } from './connect-code.ts';
import { outageReasons } from './outage-reasons.ts';
import { requestReasons } from './request-reasons.ts';

export interface CatalogueEntry {
  /** Value of `caracal.failure.v1.Reason`. Never reused. */
  readonly number: number;
  /** Status on Connect, gRPC and gRPC-Web. */
  readonly code: ConnectCodeName;
  readonly httpStatus: number;
  /** The word in `error` on HTTP edges: a registered OAuth error where one fits, else the reason itself. */
  readonly oauthError: string;
  /** True when the same request may succeed later without a change. */
  readonly retryable: boolean;
  /** What anyone may read. Names no host, id, value or internal part. */
  readonly sentence: string;
}

const rows = { ...requestReasons, ...outageReasons };

/** A reason of the catalogue: the proto enum's name without `REASON_`, in lower case. */
export type FailureReason = keyof typeof rows;

function entry([number, code, httpStatus, oauthError, retry, sentence]: CatalogueRow): CatalogueEntry {
  return Object.freeze({ number, code, httpStatus, oauthError, retryable: retry === 'retry', sentence });
}

/** Every reason and what it looks like outside. Frozen. */
export const catalogue: { readonly [R in FailureReason]: CatalogueEntry } = Object.freeze(
  // fromEntries knows no key union; the keys are exactly those of `rows`.
  Object.fromEntries(Object.entries(rows).map(([reason, row]) => [reason, entry(row)])) as {
    [R in FailureReason]: CatalogueEntry;
  },
);

/** True for a string that names a reason of the catalogue. */
export function isFailureReason(value: unknown): value is FailureReason {
  return typeof value === 'string' && Object.hasOwn(catalogue, value);
}

const byNumber = new Map(Object.entries(catalogue).map(([reason, { number }]) => [number, reason as FailureReason]));

/** The reason of a proto enum value; undefined for 0 and for values this build does not know. */
export function reasonOfNumber(number: number): FailureReason | undefined {
  return byNumber.get(number);
}
