// What the ledger looks like to an administrator.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const moment = (description: string) => Type.String({ format: 'date-time', maxLength: 40, description });

export const SearchQuery = Type.Object({
  since: Type.Optional(moment('Inclusive, RFC 3339.')),
  until: Type.Optional(moment('Exclusive, RFC 3339.')),
  decision: Type.Optional(Type.Enum(['allow', 'deny', 'partial'])),
  event_type: Type.Optional(
    Type.String({ pattern: '^[a-z][a-z_.]{0,63}(,[a-z][a-z_.]{0,63}){0,15}$', description: 'Up to 16, with commas.' }),
  ),
  request_id: Type.Optional(form.id),
  application_id: Type.Optional(form.id),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 500, description: 'Events of this page; 100 when absent.' }),
  ),
  cursor: form.pageQuery.cursor,
});

const text = Type.Optional(Type.String());
const facts = (about: string) => Type.Optional(form.document(about));

export const LedgerEvent = Type.Object({
  id: text,
  zone_id: text,
  event_type: text,
  request_id: text,
  trace_id: text,
  decision: text,
  policy_set_id: text,
  policy_set_version_id: text,
  manifest_sha: text,
  evaluation_status: text,
  determining_policies: Type.Optional(Type.Array(Type.String())),
  diagnostics: Type.Optional(Type.Array(form.document('What a policy said.'))),
  metadata: facts('Facts of the event; values of credentials are redacted.'),
  input_digest: text,
  input: facts('What was decided on, where the zone keeps it.'),
  occurred_at: text,
  producer: text,
  producer_incarnation: text,
  producer_seq: Type.Optional(Type.Integer()),
  seq: Type.Integer({ description: 'Place in the chain of the zone.' }),
  content_sha256: Type.String(),
  previous_sha256: Type.String(),
  chain_hmac: Type.String(),
  chain_key_id: Type.String(),
  ingested_at: text,
});

export const VerifyQuery = Type.Object({
  from_seq: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  to_seq: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
});

const Finding = Type.Object({
  seq: Type.Integer(),
  event_id: Type.String(),
  kind: Type.String(),
  description: Type.String(),
});

export const Verified = Type.Object({
  verified: Type.Boolean({ description: 'Everything holds.' }),
  checked: Type.Integer(),
  total: Type.Integer(),
  finding_count: Type.Integer(),
  findings: Type.Array(Finding, { description: 'At most 1000.' }),
  done: Type.Boolean(),
});

export const requestParams = Type.Object({ zone_id: form.id, request_id: form.id });
