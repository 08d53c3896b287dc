// The published JSON Schema (2020-12) of a mandate's claims, for verifiers in other languages. A test keeps it and the
// reader of this library in agreement.
import { mandateLimits } from './claims.ts';

const textId = { type: 'string', pattern: '^[A-Za-z0-9_.:-]{1,128}$' } as const;
const uri = { type: 'string', pattern: `^[\\x21-\\x7e]{1,${mandateLimits.uriCharacters}}$` } as const;
const subject = { type: 'string', minLength: 1, maxLength: mandateLimits.subjectCharacters } as const;
const seconds = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } as const;
const thumbprint = { type: 'string', pattern: '^[A-Za-z0-9_-]{43}$' } as const;
const list = (items: object, maxItems: number): object => ({ type: 'array', items, minItems: 1, maxItems });

export const MANDATE_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Caracal mandate claims',
  type: 'object',
  additionalProperties: false,
  required: [
    'iss',
    'sub',
    'aud',
    'exp',
    'iat',
    'jti',
    'zone_id',
    'client_id',
    'use',
    'sub_type',
    'sid',
    'root_sid',
    'rev',
  ],
  properties: {
    iss: uri,
    sub: subject,
    aud: list(uri, mandateLimits.audiences),
    exp: seconds,
    iat: seconds,
    jti: { type: 'string', pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' },
    zone_id: textId,
    client_id: textId,
    use: { enum: ['ambient', 'per_call'] },
    sub_type: { enum: ['user', 'application'] },
    scope: {
      type: 'string',
      maxLength: mandateLimits.scopeCharacters,
      pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+(?: [\\x21\\x23-\\x5b\\x5d-\\x7e]+)*$',
    },
    target: list(uri, mandateLimits.targets),
    sid: textId,
    root_sid: textId,
    rev: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    agent_session_id: textId,
    delegation_edge_id: textId,
    source_session_id: textId,
    target_session_id: textId,
    delegation_path: list(textId, mandateLimits.hops),
    delegation_chain: list(
      {
        type: 'object',
        additionalProperties: false,
        required: ['app'],
        properties: { app: textId, session: textId, edge: textId },
      },
      mandateLimits.hops + 1,
    ),
    hop_count: { type: 'integer', minimum: 1, maximum: mandateLimits.hops },
    delegation_graph_epoch: seconds,
    act: { $ref: '#/$defs/actor' },
    may_act: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      properties: {
        sub: subject,
        client_id: textId,
        any_of: list(
          {
            type: 'object',
            additionalProperties: false,
            minProperties: 1,
            properties: { sub: subject, client_id: textId },
          },
          mandateLimits.mayAct,
        ),
      },
    },
    cnf: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      properties: { jkt: thumbprint, 'x5t#S256': thumbprint },
    },
    via: { const: 'gateway' },
  },
  $defs: {
    actor: {
      type: 'object',
      additionalProperties: false,
      required: ['sub'],
      properties: {
        sub: subject,
        client_id: textId,
        sid: textId,
        root_sid: textId,
        agent_session_id: textId,
        act: { $ref: '#/$defs/actor' },
      },
    },
  },
} as const;
