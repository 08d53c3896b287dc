// `?wait=applied` on calls that revoke, and what they answer.
import type { RevokingResult } from '../../flows/revocations/wait.ts';
import { type Answer, noContent } from './route.ts';
import { toWire } from './wire-names.ts';

/** A barrier takes milliseconds; ten seconds are twice the time after which a silent point counts as gone. */
const defaultWaitMs = 10_000;

/** Milliseconds to wait; undefined when the call does not ask. */
export function waitMsOf(query: { readonly wait?: string; readonly timeout_ms?: number }): number | undefined {
  return query.wait === undefined ? undefined : (query.timeout_ms ?? defaultWaitMs);
}

/** The members that tell how far the revocation came; none when nobody waited. */
export function waited({ barrier }: RevokingResult): object {
  return barrier === undefined ? {} : { applied: barrier.applied, barrier: toWire(barrier) };
}

/** Of a call that ends a thing: nothing to say, unless somebody waited. */
export function endedAnswer(result: RevokingResult): Answer {
  if (result.barrier === undefined) return noContent;
  return { status: 200, body: { revocation_number: result.revocationNumber, ...waited(result) } };
}
