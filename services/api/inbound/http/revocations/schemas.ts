// What a revocation looks like on the wire.
import { Type } from 'typebox';
import { anchorKinds } from '../../../domain/revocation.ts';
import * as form from '../schemas.ts';

const Anchor = Type.Object({
  kind: Type.Enum([...anchorKinds], { description: 'By what mandates are hit.' }),
  id: form.line(512, 'The id mandates carry: sid, session, edge, jti, application, subject, kid or zone.'),
});

export const CreateRevocation = Type.Object({
  anchors: Type.Array(Anchor, { minItems: 1, maxItems: 1000 }),
  reason: Type.Optional(form.line(256, 'For people and the ledger.')),
});

export const Revoked = Type.Object({
  revocation_number: Type.Integer({ description: 'Mandates with a lower `rev` are refused.' }),
  anchor_count: Type.Integer(),
  applied: Type.Optional(Type.Boolean()),
  barrier: Type.Optional(form.Barrier),
});
