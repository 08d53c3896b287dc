// What an approval looks like on the wire.
import { Type } from 'typebox';
import { approvalStates } from '../../../domain/approval.ts';
import * as form from '../schemas.ts';

const Target = Type.Object({ resource: Type.String(), scopes: Type.Array(Type.String()) });

const HeldOperation = Type.Object(
  {
    kind: Type.String({ description: 'token_exchange or gateway_call.' }),
    use: Type.Optional(Type.String()),
    method: Type.Optional(Type.String()),
    path: Type.Optional(Type.String({ description: 'As policy sees it, without query.' })),
    arguments_digest: Type.Optional(
      Type.String({ description: 'SHA-256 of the query, or of a tool’s arguments; bound, and not kept.' }),
    ),
  },
  { description: 'What will be done.' },
);

export const Approval = Type.Object({
  id: form.id,
  state: Type.String({ description: 'pending, approved, rejected, expired or consumed.' }),
  summary: Type.String({ description: 'What will be done once it is approved, in one sentence.' }),
  challenge_type: Type.String(),
  approvers: Type.Optional(Type.Array(Type.String(), { description: 'Who alone may decide; absent: every approver.' })),
  application_id: Type.String(),
  subject: Type.String(),
  subject_type: Type.String(),
  sid: Type.Optional(Type.String()),
  agent_session_id: Type.Optional(Type.String()),
  delegation_edge_id: Type.Optional(Type.String()),
  chain: Type.Array(Type.String(), { description: 'Everyone the request comes from; none of them may approve it.' }),
  targets: Type.Array(Target),
  operation: HeldOperation,
  diagnostics: Type.Array(form.document('What policy said.')),
  policy_set_version_id: Type.String(),
  policy_digest: Type.String(),
  binding: Type.String({ description: 'Digest over all that must be the same at the retry.' }),
  request_id: Type.String({ description: 'The request that raised it; joins it to the ledger.' }),
  created_at: form.timestamp,
  expires_at: form.timestamp,
  decided_by: Type.Optional(Type.String({ description: 'The approver’s sub.' })),
  reason: Type.Optional(Type.String()),
  decided_at: Type.Optional(form.timestamp),
  consumed_at: Type.Optional(form.timestamp),
  consumed_request_id: Type.Optional(Type.String()),
});

export const ListApprovals = Type.Object({
  ...form.pageQuery,
  state: Type.Optional(Type.Enum([...approvalStates], { description: 'Only those in this state.' })),
});

export const DecideApproval = Type.Object({ reason: Type.Optional(form.line(500, 'For people and the ledger.')) });

export const Satisfied = Type.Object({ id: form.id, satisfied_at: form.timestamp });

export const approvalParams = Type.Object({ ...form.zoneParams.properties, approval_id: form.id });
