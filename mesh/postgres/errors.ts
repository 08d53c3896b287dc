// Tells what an error of the driver means: try again, the store is away, or a rule of the schema was broken. It stands alone
// because the driver reports the same outage as a SQLSTATE, a socket error or a sentence, depending on the moment.
import { fail, Failure } from '#mesh/failure';
import pg from 'pg';

/** SQLSTATE of the two conflicts after which the same transaction may simply run again. */
const retryableStates: ReadonlySet<string> = new Set(['40001', '40P01']);

/**
 * Classes that say the server cannot serve now: 08 connection, 53 resources, 57P server going down or not up; and single
 * states: statement cancelled by its timeout, lock timeout, idle in transaction, credentials refused.
 */
const unavailableClasses: readonly string[] = ['08', '53', '57P'];
const unavailableStates: ReadonlySet<string> = new Set(['57014', '55P03', '25P03', '28P01', '28000', '3D000']);

/** Socket errors of Node (libuv names). */
const socketCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
]);

/** What the driver and its pool say without any code. */
const driverSentence =
  /Connection terminated|timeout exceeded when trying to connect|connection error and is not queryable|not queryable|after calling end on the pool|Query read timeout|server does not support SSL/i;

function stateOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** True when running the same transaction again may succeed: serialization failure or deadlock, and nothing else. */
export function isRetryable(error: unknown): boolean {
  return retryableStates.has(stateOf(error) ?? '');
}

/** True when the database could not be reached, went away, or did not answer in time. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof Failure) return error.reason === 'store_unavailable';
  if (!(error instanceof Error)) return false;
  const state = stateOf(error);
  if (state !== undefined)
    return unavailableStates.has(state) || unavailableClasses.some((each) => state.startsWith(each));
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  if ('code' in error && typeof error.code === 'string' && socketCodes.has(error.code)) return true;
  return driverSentence.test(error.message);
}

/** The name of the unique constraint or index that refused a row; undefined for every other error. */
export function violatedUnique(error: unknown): string | undefined {
  return stateOf(error) === '23505' && error instanceof pg.DatabaseError ? error.constraint : undefined;
}

/** The name of the foreign key that refused a row; undefined for every other error. */
export function violatedReference(error: unknown): string | undefined {
  return stateOf(error) === '23503' && error instanceof pg.DatabaseError ? error.constraint : undefined;
}

/** The error to throw on: an outage and an exhausted conflict become `store_unavailable`, everything else stays itself. */
export function translated(error: unknown): unknown {
  if (error instanceof Failure) return error;
  if (!isUnavailable(error) && !isRetryable(error)) return error;
  return fail('store_unavailable', {
    privateDetail: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}
