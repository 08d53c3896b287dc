// What a zone looks like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const hour = Type.Union([
  Type.Integer({ minimum: 0, maximum: 24 }),
  Type.String({ pattern: '^([01][0-9]|2[0-4]):00$' }),
]);
const span = Type.Array(hour, { minItems: 2, maxItems: 2, description: 'From and until, whole hours.' });
const day = Type.Optional(Type.Array(span, { maxItems: 24 }));

export const Calendar = Type.Object(
  {
    time_zone: Type.String({ minLength: 1, maxLength: 64, description: 'IANA name.' }),
    opening_hours: Type.Optional(
      Type.Object({
        monday: day,
        tuesday: day,
        wednesday: day,
        thursday: day,
        friday: day,
        saturday: day,
        sunday: day,
      }),
    ),
    closed_dates: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' }), { maxItems: 400 }),
    ),
  },
  { description: 'Opening hours as policies see them; days that are not named are closed.' },
);

const loginFlow = Type.String({ minLength: 1, maxLength: 64, pattern: '^[a-z0-9_-]+$' });
const settings = {
  dcr_enabled: Type.Optional(Type.Boolean()),
  pkce_required: Type.Optional(Type.Boolean()),
  login_flow: Type.Optional(loginFlow),
  record_inputs: Type.Optional(Type.Boolean({ description: 'Whether the ledger keeps what was decided on.' })),
};

export const CreateZone = Type.Object({
  name: form.displayName,
  slug: Type.Optional(form.slug),
  org_id: Type.Optional(form.id),
  calendar: Type.Optional(Calendar),
  ...settings,
});

export const UpdateZone = Type.Object({
  name: Type.Optional(form.displayName),
  slug: Type.Optional(form.slug),
  org_id: Type.Optional(form.nullable(form.id)),
  calendar: Type.Optional(form.nullable(Calendar)),
  ...settings,
});

export const Zone = Type.Object({
  id: form.id,
  name: Type.String(),
  slug: Type.String(),
  org_id: Type.Optional(Type.String()),
  dcr_enabled: Type.Boolean(),
  pkce_required: Type.Boolean(),
  login_flow: Type.String(),
  calendar: Type.Optional(form.document('Opening hours.')),
  record_inputs: Type.Boolean(),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});
