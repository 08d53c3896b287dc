// What an agent session looks like to an administrator.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const states = ['active', 'suspended', 'terminated', 'expired'];

export const ListQuery = Type.Object({
  ...form.pageQuery,
  state: Type.Optional(Type.Enum(states, { description: 'Only sessions in this state.' })),
});

export const EndSession = Type.Object({ reason: Type.Optional(form.line(256, 'For people and the ledger.')) });

export const AgentSession = Type.Object({
  id: form.id,
  zone_id: form.id,
  application_id: form.id,
  parent_id: Type.Optional(Type.String()),
  kind: Type.String(),
  state: Type.String(),
  depth: Type.Integer(),
  scopes: Type.Array(Type.String()),
  resources: Type.Array(Type.String()),
  started_at: Type.Optional(form.timestamp),
  expires_at: Type.Optional(form.timestamp),
  ended_at: Type.Optional(form.timestamp),
});

export const Ended = Type.Object({
  ended_session_ids: Type.Array(Type.String(), { description: 'This session first, then its descendants.' }),
  revoked_edge_ids: Type.Array(Type.String()),
  revocation_number: Type.Integer({ description: '0 when nothing was left to end.' }),
  barrier: Type.Optional(form.Barrier),
});

export const WaitQuery = Type.Object({
  wait: Type.Optional(Type.Enum(['applied'], { description: 'Answer when every live enforcement point applied it.' })),
});

export const sessionParams = Type.Object({ zone_id: form.id, session_id: form.id });
