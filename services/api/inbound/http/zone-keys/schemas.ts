// What a zone's signing key looks like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

export const RotateZoneKey = Type.Object({
  retire_previous: Type.Optional(
    Type.Boolean({
      description:
        'The keys so far leaked, or may have: the new one signs at once, and everything the others signed is refused.',
    }),
  ),
  reason: Type.Optional(form.line(256, 'For people and the ledger.')),
});

const zoneKey = {
  id: Type.String({ description: 'The `kid` of what it signs.' }),
  version: form.version,
  state: Type.Enum(['published', 'signing', 'verifying', 'retired'], {
    description: 'In JWKS and not signing yet; signing; in JWKS until its last mandate expired; gone.',
  }),
  public_jwk: form.document('The public key (RFC 7517).'),
  signs_from: form.timestamp,
  signs_until: Type.Optional(form.timestamp),
  retires_at: Type.Optional(form.timestamp),
  created_at: form.timestamp,
};

export const ZoneKey = Type.Object(zoneKey);

export const RotatedZoneKey = Type.Object({
  ...zoneKey,
  retired: Type.Optional(Type.Array(Type.String(), { description: 'Kids that are refused from now on.' })),
  revocation_number: Type.Optional(Type.Integer({ description: 'Of the last anchor on a retired key.' })),
  applied: Type.Optional(Type.Boolean()),
  barrier: Type.Optional(form.Barrier),
});
