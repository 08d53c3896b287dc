// What a subject issuer looks like on the wire.
import { Type } from 'typebox';
import { idTokenAlgorithms, mayActSources } from '../../../domain/subject-issuer.ts';
import * as form from '../schemas.ts';

const issuer = Type.String({ minLength: 9, maxLength: 1024, description: '`iss` of its id tokens, byte by byte.' });
const jwksUrl = Type.String({ minLength: 9, maxLength: 2048, description: 'Where its keys are; https.' });
const audience = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: String.raw`^\P{Cc}+$`,
  description: 'What `aud` of its id tokens must name.',
});
const algorithms = Type.Array(Type.Enum([...idTokenAlgorithms]), {
  minItems: 1,
  maxItems: 6,
  uniqueItems: true,
  description: 'What its id tokens may be signed with; the token has no say.',
});
const claims = Type.Record(
  Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  Type.String({ minLength: 1, maxLength: 128 }),
  {
    maxProperties: 16,
    additionalProperties: false,
    description: 'Claims policies may see: the name there, and the claim it comes from.',
  },
);
const mayAct = Type.Enum([...mayActSources], {
  description: 'Where may_act (RFC 8693) of its users comes from: nowhere, their id token, or the application.',
});

export const CreateSubjectIssuer = Type.Object({
  name: Type.Optional(form.displayName),
  issuer,
  jwks_url: jwksUrl,
  audience,
  algorithms,
  claims: Type.Optional(claims),
  may_act: Type.Optional(mayAct),
});

export const UpdateSubjectIssuer = Type.Object({
  name: Type.Optional(form.displayName),
  jwks_url: Type.Optional(jwksUrl),
  audience: Type.Optional(audience),
  algorithms: Type.Optional(algorithms),
  claims: Type.Optional(claims),
  may_act: Type.Optional(mayAct),
});

export const SubjectIssuer = Type.Object({
  id: form.id,
  zone_id: form.id,
  name: Type.String(),
  issuer: Type.String(),
  jwks_url: Type.String(),
  audience: Type.String(),
  algorithms: Type.Array(Type.String()),
  claims: form.document('Claims policies may see.'),
  may_act: Type.String(),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const subjectIssuerParams = Type.Object({ zone_id: form.id, subject_issuer_id: form.id });
