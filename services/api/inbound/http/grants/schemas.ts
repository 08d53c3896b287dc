// What a grant looks like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const subject = Type.String({
  minLength: 43,
  maxLength: 512,
  pattern: String.raw`^user:[0-9a-f-]{36}:\P{Cc}+$`,
  description: 'The user, as its mandates say: user:<subject issuer id>:<sub>.',
});
const scopes = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
  minItems: 1,
  maxItems: 64,
  description: 'Of the scopes of the resource.',
});
const expiresAt = Type.String({ format: 'date-time', maxLength: 40, pattern: '^[0-9]{4}-', description: 'RFC 3339.' });

export const CreateGrant = Type.Object({
  application_id: form.id,
  subject,
  resource_id: form.id,
  scopes,
  expires_at: Type.Optional(expiresAt),
});

export const UpdateGrant = Type.Object({
  scopes: Type.Optional(scopes),
  expires_at: Type.Optional(form.nullable(expiresAt)),
});

export const Grant = Type.Object({
  id: form.id,
  zone_id: form.id,
  application_id: form.id,
  subject_issuer_id: form.id,
  subject: Type.String(),
  resource_id: form.id,
  scopes: Type.Array(Type.String()),
  expires_at: Type.Optional(form.timestamp),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const GrantQuery = Type.Object({
  ...form.pageQuery,
  application_id: Type.Optional(form.id),
  subject: Type.Optional(subject),
  resource_id: Type.Optional(form.id),
});

export const grantParams = Type.Object({ zone_id: form.id, grant_id: form.id });
