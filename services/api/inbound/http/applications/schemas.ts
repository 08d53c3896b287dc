// What an application looks like on the wire.
import { Type } from 'typebox';
import { credentialTypes } from '../../../domain/application.ts';
import * as form from '../schemas.ts';

const trait = Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,128}$' });
const traits = Type.Array(trait, { maxItems: 64, uniqueItems: true, description: 'What policies know it by.' });
const labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,64}$' }),
  Type.String({ maxLength: 64, pattern: String.raw`^\P{Cc}*$` }),
  { maxProperties: 32, additionalProperties: false, description: 'Text for people and policies.' },
);
const senderConstraint = Type.Enum(['off', 'required'], {
  description: 'Whether its mandates must be bound to a key.',
});
const expiresAt = Type.String({ format: 'date-time', maxLength: 40, pattern: '^[0-9]{4}-', description: 'RFC 3339.' });

export const CreateApplication = Type.Object({
  name: form.displayName,
  registration_method: Type.Optional(Type.Enum(['managed'])),
  credential_type: Type.Optional(
    Type.Enum([...credentialTypes], { description: 'token: a client secret made here. public: none.' }),
  ),
  traits: Type.Optional(traits),
  labels: Type.Optional(labels),
  consent: Type.Optional(Type.Boolean({ description: 'Whether users are asked before it acts for them.' })),
  sender_constraint: Type.Optional(senderConstraint),
  expires_at: Type.Optional(expiresAt),
});

export const UpdateApplication = Type.Object({
  name: Type.Optional(form.displayName),
  traits: Type.Optional(traits),
  labels: Type.Optional(labels),
  consent: Type.Optional(Type.Boolean()),
  sender_constraint: Type.Optional(senderConstraint),
  expires_at: Type.Optional(form.nullable(expiresAt)),
});

export const Application = Type.Object({
  id: form.id,
  zone_id: form.id,
  name: Type.String(),
  registration_method: Type.String(),
  credential_type: Type.String(),
  traits: Type.Array(Type.String()),
  labels: form.document('Labels.'),
  consent: Type.String(),
  sender_constraint: Type.String(),
  expires_at: Type.Optional(form.timestamp),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const ApplicationWithSecret = Type.Object({
  ...Application.properties,
  client_secret: Type.Optional(Type.String({ description: 'Shown in this answer alone.' })),
});

export const applicationParams = Type.Object({ zone_id: form.id, application_id: form.id });
