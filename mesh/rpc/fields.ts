/**
 * Typed parsing of inbound messages: each field against its rule, all broken rules in one refusal, never the value.
 * It stands alone so that handlers read like the contract's comments and flows get values that are already right.
 */
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { parseStrictJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { FieldViolation, JsonObject } from '#mesh/failure';
import { isTextId } from '#mesh/ids';
import type { TextId } from '#mesh/ids';

export interface TextRule {
  /** Characters at least; 1 when absent. */
  readonly min?: number;
  /** Characters at most. */
  readonly max: number;
  readonly pattern?: RegExp;
  /** The rule in words, when the pattern needs some. */
  readonly rule?: string;
}

export interface IntegerRule {
  readonly min: number;
  readonly max: number;
}

/** As many as the wire's detail carries; the rest of a hopeless message needs no words. */
const maxViolations = 32;
/** Year 9999: what every store and format of ours can hold. */
const maxTimestampSeconds = 253_402_300_799n;
/** Deeper than any document that travels inside a message. */
const maxJsonDepth = 32;

/** Reads fields and remembers what is wrong. A refused field gives a stand-in that nobody sees: `parseFields` throws. */
export class FieldReader {
  readonly #violations: FieldViolation[] = [];

  get violations(): readonly FieldViolation[] {
    return this.#violations;
  }

  /** Notes a broken rule that no method here knows. */
  refuse(path: string, rule: string): void {
    if (this.#violations.length < maxViolations) this.#violations.push({ path, rule });
  }

  /** An id of the given brand: `fields.id<ZoneId>('zone_id', request.zoneId)`. */
  id<Id extends TextId>(path: string, value: string): Id {
    if (!isTextId(value)) this.refuse(path, value === '' ? 'required' : '1 to 128 of A-Z a-z 0-9 _ . : -');
    return value as Id;
  }

  /** Undefined when the field is empty, which proto3 cannot tell from absent. */
  optionalId<Id extends TextId>(path: string, value: string): Id | undefined {
    return value === '' ? undefined : this.id<Id>(path, value);
  }

  text(path: string, value: string, { min = 1, max, pattern, rule }: TextRule): string {
    if (value.length < min) this.refuse(path, value === '' ? 'required' : `at least ${min} characters`);
    else if (value.length > max) this.refuse(path, `at most ${max} characters`);
    else if (!value.isWellFormed() || value.includes('\0')) this.refuse(path, 'well-formed text without NUL');
    else if (pattern !== undefined && !pattern.test(value)) this.refuse(path, rule ?? 'of another form');
    return value;
  }

  optionalText(path: string, value: string, rule: TextRule): string | undefined {
    return value === '' ? undefined : this.text(path, value, rule);
  }

  oneOf<T extends string>(path: string, value: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === value);
    if (found === undefined) this.refuse(path, `one of ${choices.join(', ')}`);
    return found ?? (value as T);
  }

  optionalOneOf<T extends string>(path: string, value: string, choices: readonly T[]): T | undefined {
    return value === '' ? undefined : this.oneOf(path, value, choices);
  }

  /** Takes 64-bit fields too; what leaves is a safe integer. */
  integer(path: string, value: number | bigint, { min, max }: IntegerRule): number {
    if (value < min || value > max) this.refuse(path, `${min} to ${max}`);
    return Number(value);
  }

  list<In, Out>(
    path: string,
    values: readonly In[],
    rule: { readonly min?: number; readonly max: number; readonly each: (path: string, value: In) => Out },
  ): Out[] {
    const { min = 0, max, each } = rule;
    if (values.length < min) this.refuse(path, `at least ${min} entries`);
    if (values.length > max) {
      this.refuse(path, `at most ${max} entries`);
      return [];
    }
    return values.map((value, at) => each(`${path}[${at}]`, value));
  }

  /** Epoch milliseconds; finer parts are cut. */
  timestamp(path: string, value: Timestamp | undefined): number {
    if (value === undefined) {
      this.refuse(path, 'required');
      return 0;
    }
    const { seconds, nanos } = value;
    if (seconds < 0n || seconds > maxTimestampSeconds || nanos < 0 || nanos > 999_999_999) {
      this.refuse(path, 'a time from 1970 to 9999');
      return 0;
    }
    return Number(seconds) * 1000 + Math.floor(nanos / 1_000_000);
  }

  optionalTimestamp(path: string, value: Timestamp | undefined): number | undefined {
    return value === undefined ? undefined : this.timestamp(path, value);
  }

  bytes(path: string, value: Uint8Array, { min, max }: { readonly min: number; readonly max: number }): Uint8Array {
    if (value.length < min || value.length > max) {
      this.refuse(path, min === max ? `${min} bytes` : `${min} to ${max} bytes`);
    }
    return value;
  }

  /** A JSON object in text; undefined when the field is empty. */
  jsonObject(path: string, text: string, { maxBytes }: { readonly maxBytes: number }): JsonObject | undefined {
    if (text === '') return undefined;
    try {
      const value = parseStrictJson(text, { maxBytes, maxDepth: maxJsonDepth });
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
      this.refuse(path, 'a JSON object');
    } catch {
      // Whatever the parser says, the rule is the same and the text is not repeated.
      this.refuse(path, `a JSON object of at most ${maxBytes} bytes, without duplicate keys`);
    }
    return undefined;
  }
}

/**
 * Runs `read` and gives its result, or throws `invalid_request` with every broken rule.
 *
 * ```ts
 * const query = parseFields((fields) => ({
 *   zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
 *   limit: fields.integer('limit', request.limit, { min: 0, max: 1000 }) || 100,
 * }));
 * ```
 */
export function parseFields<T>(read: (fields: FieldReader) => T): T {
  const fields = new FieldReader();
  const value = read(fields);
  if (fields.violations.length > 0) throw fail('invalid_request', { fields: fields.violations });
  return value;
}
