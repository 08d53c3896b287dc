// The kinds of identifier and the one rule all of them follow, wherever they come from.
// It stands alone so that an id of one kind cannot be passed where another is meant.

declare const kind: unique symbol;

/** A string that passed the rule of ids and is known to name a thing of kind K. */
export type TextId<K extends string = string> = string & { readonly [kind]: K };

export type ZoneId = TextId<'zone'>;
export type ApplicationId = TextId<'application'>;
export type ResourceId = TextId<'resource'>;
export type ProviderId = TextId<'provider'>;
export type PolicyId = TextId<'policy'>;
export type PolicyVersionId = TextId<'policy_version'>;
export type PolicySetId = TextId<'policy_set'>;
export type PolicySetVersionId = TextId<'policy_set_version'>;
/** An agent session of the Coordinator. */
export type AgentSessionId = TextId<'agent_session'>;
/** A delegation edge of the Coordinator. */
export type EdgeId = TextId<'edge'>;
/** A session record of the STS: the `sid` of mandates. */
export type SessionRecordId = TextId<'session_record'>;
/** A zone key: the `kid` of mandates. */
export type KeyId = TextId<'key'>;
export type EventId = TextId<'event'>;
export type RequestId = TextId<'request'>;

/** 128 characters hold any id of ours three times over and keep log lines, keys and header values short. */
const pattern = /^[A-Za-z0-9_.:-]{1,128}$/;

/** True when the value follows the rule of ids: 1 to 128 characters of `A-Z a-z 0-9 _ . : -`. */
export function isTextId(value: unknown): value is TextId {
  return typeof value === 'string' && pattern.test(value);
}

/** The value as an id of kind I, or undefined when it breaks the rule. For everything that comes from outside. */
export function textId<I extends TextId>(value: unknown): I | undefined {
  // The kind is what the caller says the id is for; only the form can be checked.
  return isTextId(value) ? (value as I) : undefined;
}

/** Names the kind of an id that was checked before it was stored, or that was just made. Checks nothing. */
export function knownId<I extends TextId>(value: string): I {
  return value as I;
}

/** The request id a caller sent in `X-Request-Id`, or undefined when there is none that may be kept. */
export function parseRequestId(header: string | undefined): RequestId | undefined {
  return textId<RequestId>(header);
}
