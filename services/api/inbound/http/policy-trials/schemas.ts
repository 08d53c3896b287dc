// What trials of policies look like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

/** Contents are bounded in bytes by the flow; this bounds what the validator looks at. */
const maxContent = 256 * 1024;
const maxPolicies = 256;

const Policy = Type.Object({
  name: Type.Optional(form.displayName),
  content: Type.String({ minLength: 1, maxLength: maxContent, description: 'Rego v1, package caracal.authz.' }),
});

const candidate = {
  version_id: Type.Optional(Type.Union([form.id], { description: 'A stored version of this set; or else policies.' })),
  policies: Type.Optional(
    Type.Array(Policy, { minItems: 1, maxItems: maxPolicies, description: 'Policies that are not stored.' }),
  ),
  params: Type.Optional(form.document('The data of the policies that are not stored.')),
};

export const Simulate = Type.Object({
  ...candidate,
  input: Type.Optional(form.document('The decision input; or else event_id.')),
  event_id: Type.Optional(
    Type.Union([form.id], { description: 'A decision in the ledger whose input is decided anew.' }),
  ),
});

const Problem = Type.Object({
  policy_version_id: Type.String({ description: '`candidate-<n>` for the n-th policy that is not stored.' }),
  line: Type.Integer(),
  column: Type.Integer(),
  code: Type.String(),
  message: Type.String(),
});

const decision = Type.Enum(['allow', 'hold', 'deny']);

export const Simulated = Type.Object({
  would_activate: Type.Boolean({ description: 'Nothing keeps these policies from being activated.' }),
  problems: Type.Array(Problem),
  decision: Type.Optional(decision),
  evaluation_status: Type.Optional(Type.String({ description: 'complete, or why there is no clear answer.' })),
  determining_policies: Type.Optional(Type.Array(Type.String())),
  diagnostics: Type.Optional(Type.Array(form.document('What a policy said.'))),
  input_digest: Type.Optional(Type.String({ description: 'SHA-256 of the canonical input.' })),
  recorded: Type.Optional(
    Type.Object(
      { event_id: form.id, decision, evaluation_status: Type.String(), policy_digest: Type.String() },
      { description: 'What was decided at the time.' },
    ),
  ),
});

/** The ledger gives this many at most (audit.proto). */
const maxDecisions = 100_000;

export const Replay = Type.Object({
  ...candidate,
  since: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339, inclusive.' })),
  until: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339, exclusive.' })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: maxDecisions, description: `Decisions at most; ${maxDecisions} when absent.` }),
  ),
});

const counts = (about: string) =>
  Type.Unsafe<Record<string, number>>({
    type: 'object',
    description: about,
    additionalProperties: { type: 'integer' },
  });

const Flips = Type.Object({
  application_id: Type.String(),
  resource: Type.String(),
  scopes: Type.Array(Type.String()),
  from: decision,
  to: decision,
  count: Type.Integer(),
  sample_event_ids: Type.Array(Type.String(), { description: 'The first few, to look at in the ledger.' }),
  determining_policies: Type.Array(Type.String(), { description: 'Of the candidate.' }),
});

export const Replayed = Type.Object({
  version_id: Type.Optional(Type.String()),
  digest: Type.Optional(Type.String()),
  decisions: Type.Integer({ description: 'Recorded decisions that the candidate answered.' }),
  evaluated: Type.Integer({ description: 'Different inputs; equal ones are evaluated once.' }),
  unchanged: Type.Integer(),
  flipped: Type.Integer(),
  transitions: counts('Flips by direction: allow_to_deny, deny_to_allow, …'),
  groups: Type.Array(Flips, { description: 'By application, resource and scopes, most frequent first.' }),
  flips_not_listed: Type.Integer(),
  recorded_without_answer: Type.Integer({
    description: 'Policy gave no whole answer then: they compare with nothing.',
  }),
  candidate_without_answer: counts('The candidate gave no whole answer and would deny, by status.'),
  without_input: Type.Integer({ description: 'Decisions of the range whose input was not recorded.' }),
  cut: Type.Boolean({ description: 'The limit ended the reading before the range did.' }),
  elapsed_ms: Type.Integer(),
  decisions_per_second: Type.Integer(),
});
