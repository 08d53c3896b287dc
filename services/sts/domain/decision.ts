// What the policies of a set say together. Each is read strictly; anything that is not a whole, well-formed answer
// denies with a status of its own, so that a broken policy can never look like a permissive one.
import type { JsonObject, JsonValue } from '#mesh/failure';
import { readHoldRule, strictest } from './hold-rule.ts';
import type { HoldRule } from './hold-rule.ts';

/** Why policy denied without saying so itself. `complete` means that it did say so. */
export type EvaluationStatus =
  | 'complete'
  | 'no_active_policy_set'
  | 'undefined'
  | 'malformed'
  | 'incomplete'
  | 'evaluation_error'
  | 'timeout'
  | 'policy_unavailable';

export interface Decision {
  readonly kind: 'allow' | 'hold' | 'deny';
  /** With `hold`, and only then: what is asked for before the allow counts. */
  readonly hold?: HoldRule;
  readonly status: EvaluationStatus;
  /** Names of the policies that decided, as `name` or `name/what the policy called it`. */
  readonly determining: readonly string[];
  readonly diagnostics: readonly JsonObject[];
}

interface Answer {
  readonly decision: 'allow' | 'deny' | 'abstain';
  readonly holds: readonly HoldRule[];
  readonly determining: readonly string[];
  readonly diagnostics: readonly JsonObject[];
}

/** More would only bloat evidence; the rest is cut. */
const maxNotes = 32;
/** A reason is a sentence or a few facts. All notes of a decision together fit many times into one event. */
const maxNoteCharacters = 2048;
const maxNameCharacters = 256;
/** The ledger reads 16 levels, of which the event around a note takes three. */
const maxNoteDepth = 8;

export function denial(status: EvaluationStatus, diagnostics: readonly JsonObject[] = []): Decision {
  return { kind: 'deny', status, determining: [], diagnostics };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A list of strings or objects; strings are what authors write by hand, objects what generators write. */
function notes(value: JsonValue | undefined, wrap: string): readonly JsonObject[] | undefined {
  if (value === undefined || value === null) return [];
  const list = isObject(value) ? [value] : value;
  if (!Array.isArray(list)) return undefined;
  const read: JsonObject[] = [];
  for (const item of list as readonly JsonValue[]) {
    if (isObject(item)) read.push(item);
    else if (typeof item === 'string') read.push({ [wrap]: item });
    else return undefined;
  }
  return read;
}

/** What is kept of them: not too many and none too large. */
function bounded(all: readonly JsonObject[]): readonly JsonObject[] {
  const omitted = { omitted: 'larger than a note may be' };
  return all.slice(0, maxNotes).map((note) => (isKept(note) ? note : omitted));
}

function isKept(note: JsonObject): boolean {
  return isShallow(note, maxNoteDepth) && JSON.stringify(note).length <= maxNoteCharacters;
}

function isShallow(value: JsonValue | undefined, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depthLeft > 0 && Object.values(value).every((member) => isShallow(member, depthLeft - 1));
}

function nameOf(note: JsonObject): string {
  const name = note['policy'] ?? note['id'] ?? note['name'];
  return typeof name === 'string' ? name.slice(0, maxNameCharacters) : '';
}

/** What the notes of an allow ask for; undefined when one of them cannot be read, wherever it stands. */
function holdsOf(diagnostics: readonly JsonObject[]): readonly HoldRule[] | undefined {
  const stated = diagnostics.map((note) => note['step_up_required']).filter((value) => value !== undefined);
  const rules = stated.map(readHoldRule).filter((rule) => rule !== undefined);
  return rules.length === stated.length ? rules : undefined;
}

function readAnswer(value: JsonValue): Answer | 'malformed' | 'incomplete' {
  if (!isObject(value)) return 'malformed';
  if (value['evaluation_status'] !== 'complete')
    return typeof value['evaluation_status'] === 'string' ? 'incomplete' : 'malformed';
  const { decision } = value;
  const determining = notes(value['determining_policies'], 'policy');
  const diagnostics = notes(value['diagnostics'], 'reason');
  if (!determining || !diagnostics) return 'malformed';
  if (decision !== 'allow' && decision !== 'deny' && decision !== 'abstain') return 'malformed';
  const holds = decision === 'allow' ? holdsOf(diagnostics) : [];
  if (!holds) return 'malformed';
  return {
    decision,
    holds,
    determining: determining.slice(0, maxNotes).map(nameOf),
    diagnostics: bounded(diagnostics),
  };
}

/**
 * Any deny wins; else any hold; else at least one allow; else deny. A policy that answers nothing, or not in the form
 * `{decision, evaluation_status: "complete", determining_policies, diagnostics}`, denies for the whole set: one that has
 * no opinion says `abstain`.
 */
export function combine(names: readonly string[], results: Readonly<Record<string, JsonValue>>): Decision {
  const read: { name: string; answer: Answer }[] = [];
  for (const [index, name] of names.entries()) {
    const value = Object.hasOwn(results, String(index)) ? results[String(index)] : undefined;
    if (value === undefined) return { ...denial('undefined'), determining: [name] };
    const answer = readAnswer(value);
    if (typeof answer === 'string') return { ...denial(answer), determining: [name] };
    read.push({ name, answer });
  }
  const pick = (test: (answer: Answer) => boolean): typeof read => read.filter(({ answer }) => test(answer));
  const denied = pick((answer) => answer.decision === 'deny');
  if (denied.length > 0) return conclude('deny', denied);
  const held = pick((answer) => answer.holds.length > 0);
  const [first, ...more] = held.flatMap(({ answer }) => answer.holds);
  if (first) return concludeHeld(strictest([first, ...more]), held);
  const allowed = pick((answer) => answer.decision === 'allow');
  return allowed.length > 0 ? conclude('allow', allowed) : denial('complete', [{ reason: 'no_policy_allows' }]);
}

type Said = readonly { name: string; answer: Answer }[];

/** Rules that leave nobody to approve are a denial: whoever waited for it would wait in vain. */
function concludeHeld(hold: HoldRule | 'no_approver_left', from: Said): Decision {
  if (hold !== 'no_approver_left') return { ...conclude('hold', from), hold };
  const denied = conclude('deny', from);
  return { ...denied, diagnostics: [{ reason: hold }, ...denied.diagnostics].slice(0, maxNotes) };
}

function conclude(kind: Decision['kind'], from: Said): Decision {
  const determining = from.flatMap(({ name, answer }) =>
    answer.determining.length > 0
      ? answer.determining.map((own) => (own === '' || own === name ? name : `${name}/${own}`))
      : [name],
  );
  return {
    kind,
    status: 'complete',
    determining: [...new Set(determining)].slice(0, maxNotes),
    diagnostics: from.flatMap(({ answer }) => answer.diagnostics).slice(0, maxNotes),
  };
}
