// What a policy asks for when it allows with a hold: which kind of approval, by whom, within what time. Several rules that
// meet in one request become the strictest of them all, so that asking for two things at once is never the easier way.
import type { JsonObject, JsonValue } from '#mesh/failure';

/** Weakest first: a machine vouches for the software, the principal shows itself anew, another person agrees. */
export const challengeTypes = ['software_attestation', 'mfa', 'human_approval'] as const;
export type ChallengeType = (typeof challengeTypes)[number];

export interface HoldRule {
  readonly type: ChallengeType;
  /** Who alone may decide, by `sub`, sorted; undefined leaves it to every approver of the zone. */
  readonly approvers: readonly string[] | undefined;
  /** From raising to expiry; 1 to `holdTtlSeconds`. */
  readonly ttlSeconds: number;
}

/** authority.md "Approvals": longer, and what was asked is no longer what is meant. A policy may ask for less. */
export const holdTtlSeconds = 300;
/** A rule with more is a group, and groups belong to whoever gives out approver tokens. */
const maxApprovers = 32;
/** As long as a `sub` of an approver may be (api.admin_tokens). */
const maxApproverLength = 256;

// oxlint-disable-next-line no-control-regex -- no name of anybody holds control characters, and no store takes NUL
const control = /[\u0000-\u001f\u007f]/;

const members: ReadonlySet<string> = new Set(['type', 'approvers', 'ttl_seconds']);

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readType(value: JsonValue | undefined): ChallengeType | undefined {
  return challengeTypes.find((type) => type === value);
}

const isName = (text: string): boolean => !control.test(text) && text.isWellFormed();

/** Undefined when absent, `malformed` when nobody could decide or not all of it is text. */
function readApprovers(value: JsonValue | undefined): readonly string[] | undefined | 'malformed' {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > maxApprovers) return 'malformed';
  const named = (value as readonly JsonValue[]).filter(
    (item): item is string =>
      typeof item === 'string' && item !== '' && item.length <= maxApproverLength && isName(item),
  );
  return named.length === value.length ? [...new Set(named)].toSorted() : 'malformed';
}

function readTtl(value: JsonValue | undefined): number | undefined {
  if (value === undefined) return holdTtlSeconds;
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
    ? Math.min(value, holdTtlSeconds)
    : undefined;
}

/**
 * The rule that a diagnostic's `step_up_required` states: a type's name, or `{type, approvers?, ttl_seconds?}`. Undefined
 * for anything else, which must deny: a rule that is read in part would hold less than its author meant.
 */
export function readHoldRule(value: JsonValue): HoldRule | undefined {
  const stated: JsonObject = isObject(value) ? value : { type: value };
  if (Object.keys(stated).some((name) => !members.has(name))) return undefined;
  const type = readType(stated['type']);
  const approvers = readApprovers(stated['approvers']);
  const ttlSeconds = readTtl(stated['ttl_seconds']);
  if (type === undefined || approvers === 'malformed' || ttlSeconds === undefined) return undefined;
  return { type, approvers, ttlSeconds };
}

function common(a: readonly string[] | undefined, b: readonly string[] | undefined): readonly string[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.filter((name) => b.includes(name));
}

/** True when meeting `rule` asks for nothing that `other` does not ask for as well. */
export function asksNoMore(rule: Pick<HoldRule, 'type'>, other: Pick<HoldRule, 'type'>): boolean {
  return challengeTypes.indexOf(rule.type) <= challengeTypes.indexOf(other.type);
}

/**
 * The strictest of at least one rule: the strongest type, the approvers that all rules leave, the shortest time.
 * `no_approver_left` when the rules leave nobody: such a hold could never be approved.
 */
export function strictest(rules: readonly [HoldRule, ...HoldRule[]]): HoldRule | 'no_approver_left' {
  const merged = rules.reduce((a, b) => ({
    type: asksNoMore(a, b) ? b.type : a.type,
    approvers: common(a.approvers, b.approvers),
    ttlSeconds: Math.min(a.ttlSeconds, b.ttlSeconds),
  }));
  return merged.approvers?.length === 0 ? 'no_approver_left' : merged;
}
