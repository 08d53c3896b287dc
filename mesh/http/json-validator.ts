/**
 * Validates what came in against a schema: unknown fields are refused and bodies are coerced to nothing.
 * It stands alone because the framework's own defaults do the opposite, silently.
 */
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { fail } from '#mesh/failure';
import type { Failure, FieldViolation } from '#mesh/failure';

/** A JSON schema, TypeBox's included. */
export type JsonSchema = object;

export type Validated =
  { readonly kind: 'valid'; readonly value: unknown } | { readonly kind: 'invalid'; readonly failure: Failure };

export interface JsonValidator {
  (value: unknown): Validated;
}

/** `texts` is for values that only ever come as text (query, path): numbers and flags are read from it. */
export type ValueSource = 'json' | 'texts' | 'headers';

/** RFC 9562 §4 in the spelling of our ids' kind; any version. */
const uuidForm = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** RFC 3339 §5.6. */
const dateTimeForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

const formats = {
  uuid: uuidForm,
  'date-time': (text: string) => dateTimeForm.test(text) && !Number.isNaN(Date.parse(text)),
  uri: (text: string) => URL.canParse(text),
};

function createAjv(coerceTypes: boolean): Ajv {
  // The first violation is enough for a client and bounds the work that a hostile body can ask for.
  return new Ajv({ allErrors: false, coerceTypes, removeAdditional: false, useDefaults: true, strict: false, formats });
}

const engines: Record<ValueSource, Ajv> = {
  json: createAjv(false),
  texts: createAjv(true),
  headers: createAjv(false),
};

/** Compiles once; the validator never throws. Objects without `additionalProperties` are closed, headers excepted. */
export function createJsonValidator(schema: JsonSchema, source: ValueSource = 'json'): JsonValidator {
  const compiled = source === 'headers' ? schema : (closed(schema) as object);
  const validate: ValidateFunction = engines[source].compile(compiled);
  return (value) => {
    if (validate(value)) return { kind: 'valid', value };
    const fields = (validate.errors ?? []).map(violationOf);
    return { kind: 'invalid', failure: fail('invalid_request', { fields }) };
  };
}

/** A copy that refuses unknown fields. Parts of `allOf` stay open: each sees only its share of the object. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) copy[key] = closedPart(key, value);
  const isObject = copy['type'] === 'object' && copy['properties'] !== undefined;
  return isObject && copy['additionalProperties'] === undefined ? { ...copy, additionalProperties: false } : copy;
}

function closedPart(key: string, value: unknown): unknown {
  switch (key) {
    case 'properties':
    case 'patternProperties':
    case '$defs':
      return Object.fromEntries(Object.entries(value as object).map(([name, part]) => [name, closed(part)]));
    case 'items':
    case 'anyOf':
    case 'oneOf':
    case 'additionalProperties':
      return closed(value);
    default:
      return value;
  }
}

/** A field's name that may be shown; anything stranger could carry what must not be repeated. */
const plainName = /^[A-Za-z0-9_.:-]{1,64}$/;

function violationOf(error: ErrorObject): FieldViolation {
  const params = error.params as Readonly<Record<string, unknown>>;
  const named = params['additionalProperty'] ?? params['missingProperty'];
  const segments = error.instancePath.split('/').slice(1).map(unescapePointer);
  if (typeof named === 'string') segments.push(named);
  return { path: jsonPath(segments), rule: ruleOf(error) };
}

/** RFC 6901 §4. */
function unescapePointer(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}

function jsonPath(segments: readonly string[]): string {
  let path = '';
  for (const segment of segments) {
    if (/^\d{1,9}$/.test(segment)) path += `[${segment}]`;
    else path += `${path === '' ? '' : '.'}${plainName.test(segment) ? segment : '?'}`;
  }
  return path;
}

function ruleOf({ keyword, message }: ErrorObject): string {
  switch (keyword) {
    case 'additionalProperties':
      return 'unknown field';
    case 'required':
      return 'required';
    case 'enum':
    case 'const':
      return 'one of the listed values';
    default:
      return message ?? keyword;
  }
}
