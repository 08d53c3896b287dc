// What an audit answer never shows, whatever wrote it: values under names that stand for credentials.
import type { JsonValue } from '#mesh/failure';

const redactedNames: ReadonlySet<string> = new Set([
  ...['password', 'passwd', 'secret', 'token', 'access_token', 'refresh_token', 'id_token', 'api_key', 'apikey'],
  ...['authorization', 'cookie', 'set_cookie', 'client_secret', 'private_key', 'session', 'session_id', 'assertion'],
]);
const replacement = '[redacted]';
/** Deeper than any event of ours. */
const maxDepth = 32;

/** A copy with every such value replaced, at any depth; names are compared without regard to case and dashes. */
export function redacted(value: JsonValue, depth = 0): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return replacement;
  if (Array.isArray(value)) return value.map((entry: JsonValue) => redacted(entry, depth + 1));
  const members = Object.entries(value).map(([name, member]): [string, JsonValue] => [
    name,
    redactedNames.has(name.toLowerCase().replaceAll('-', '_')) ? replacement : redacted(member, depth + 1),
  ]);
  return Object.fromEntries(members);
}
