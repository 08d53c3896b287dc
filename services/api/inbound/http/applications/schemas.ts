// What an application looks like on the wire.
import { Type } from 'typebox';
import { credentialTypes, senderConstraints } from '../../../domain/application.ts';
import { maxPublicKeys } from '../../../domain/public-keys.ts';
import type { PublicKeySet } from '../../../domain/public-keys.ts';
import * as form from '../schemas.ts';

const trait = Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,128}$' });
const traits = Type.Array(trait, { maxItems: 64, uniqueItems: true, description: 'What policies know it by.' });
const labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,64}$' }),
  Type.String({ maxLength: 64, pattern: String.raw`^\P{Cc}*$` }),
  { maxProperties: 32, additionalProperties: false, description: 'Text for people and policies.' },
);
const senderConstraint = Type.Enum([...senderConstraints], {
  description: 'Whether its mandates are bound to a key: never, when it proves one (DPoP, mTLS), or always.',
});
// Unsafe: members differ by key type, and the domain says which of them are refused and why.
const publicKeys = Type.Unsafe<PublicKeySet>({
  type: 'object',
  description:
    'JWK set with the public keys it signs client assertions with (private_key_jwt): EC P-256 or P-384, Ed25519, RSA of 2048 to 4096 bits; each with a kid where there are several.',
  additionalProperties: false,
  required: ['keys'],
  properties: {
    keys: {
      type: 'array',
      minItems: 1,
      maxItems: maxPublicKeys,
      items: {
        type: 'object',
        maxProperties: 16,
        required: ['kty'],
        properties: { kty: { type: 'string' }, kid: { type: 'string' }, alg: { type: 'string' } },
        additionalProperties: true,
      },
    },
  },
});
const actor = Type.Object(
  {
    client_id: Type.Optional(form.id),
    sub: Type.Optional(form.line(512, 'Subject of the actor: user:<issuer>:<sub>.')),
  },
  { minProperties: 1, description: 'The client, the subject, or both must be those of the actor_token.' },
);
const mayAct = Type.Array(actor, {
  // As many as a mandate can name.
  maxItems: 16,
  uniqueItems: true,
  description: 'Who may act for this application when it is the subject (RFC 8693); never taken from a request.',
});
const serves = Type.Array(Type.String({ pattern: '^[!-~]{1,256}$' }), {
  maxItems: 64,
  uniqueItems: true,
  description: 'Identifiers of the resources it serves; it may introspect the mandates made out to them.',
});
const expiresAt = Type.String({ format: 'date-time', maxLength: 40, pattern: '^[0-9]{4}-', description: 'RFC 3339.' });

export const CreateApplication = Type.Object({
  name: form.displayName,
  registration_method: Type.Optional(Type.Enum(['managed'])),
  credential_type: Type.Optional(
    Type.Enum([...credentialTypes], {
      description: 'token: a client secret made here. public-key: assertions it signs. public: none.',
    }),
  ),
  traits: Type.Optional(traits),
  labels: Type.Optional(labels),
  consent: Type.Optional(Type.Boolean({ description: 'Whether users are asked before it acts for them.' })),
  sender_constraint: Type.Optional(senderConstraint),
  public_keys: Type.Optional(publicKeys),
  may_act: Type.Optional(mayAct),
  serves: Type.Optional(serves),
  expires_at: Type.Optional(expiresAt),
});

export const UpdateApplication = Type.Object({
  name: Type.Optional(form.displayName),
  traits: Type.Optional(traits),
  labels: Type.Optional(labels),
  consent: Type.Optional(Type.Boolean()),
  sender_constraint: Type.Optional(senderConstraint),
  public_keys: Type.Optional(publicKeys),
  may_act: Type.Optional(mayAct),
  serves: Type.Optional(serves),
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
  public_keys: Type.Optional(form.document('Public keys, with credential_type public-key.')),
  may_act: Type.Array(form.document('client_id, sub or both.')),
  serves: Type.Array(Type.String()),
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
