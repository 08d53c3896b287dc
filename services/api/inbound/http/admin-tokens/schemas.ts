// What an admin token looks like on the wire.
import { Type } from 'typebox';
import { capabilities } from '../../../domain/admin.ts';
import * as form from '../schemas.ts';

export const CreateAdminToken = Type.Object({
  name: form.displayName,
  scope: Type.Enum(['global', 'zone']),
  zone_id: Type.Optional(Type.Union([form.id], { description: 'With scope zone, and only then.' })),
  capability: Type.Enum([...capabilities], {
    description: 'read sees, write changes, approve sees and decides approvals.',
  }),
  sub: Type.Optional(
    form.line(
      256,
      'With capability approve, and only then: who decides. A user of the zone as user:<issuer id>:<sub>.',
    ),
  ),
});

export const AdminToken = Type.Object({
  id: form.id,
  name: Type.String(),
  scope: Type.String(),
  zone_id: Type.Optional(Type.String()),
  capability: Type.String(),
  sub: Type.Optional(Type.String()),
  created_by: Type.String(),
  created_at: form.timestamp,
});

export const AdminTokenWithSecret = Type.Object({
  ...AdminToken.properties,
  token: Type.Optional(Type.String({ description: 'Shown in this answer alone.' })),
});

export const tokenParams = Type.Object({ token_id: form.id });
