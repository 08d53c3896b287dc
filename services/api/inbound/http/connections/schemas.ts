// What connections at providers look like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const subject = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: String.raw`^\P{Cc}+$`,
  description: 'The user it is for, as mandates name them: `user:<subject issuer id>:<sub>`.',
});
const visible = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[\\x21-\\x7e]+$', description });

export const BeginConnection = Type.Object({
  subject: Type.Optional(subject),
  redirect_uri: visible(2048, 'One of the provider’s redirect_uris, exactly.'),
});

export const Begun = Type.Object({
  authorization_url: Type.String({ description: 'Where to send the browser of whoever consents.' }),
  state: Type.String({ description: 'Comes back with the answer; good once, and for the token that began.' }),
  expires_at: form.timestamp,
});

export const CompleteConnection = Type.Object({
  state: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
  code: Type.String({ minLength: 1, maxLength: 4096, pattern: '^[\\x20-\\x7e]+$' }),
  iss: Type.Optional(visible(2048, 'As it came back (RFC 9207); required of providers with an issuer.')),
});

export const Connection = Type.Object({
  id: form.id,
  zone_id: form.id,
  provider_id: form.id,
  subject: Type.String({ description: 'Empty for a connection of the whole zone.' }),
  state: Type.String({ description: 'active, broken (connect anew) or revoked.' }),
  scopes: Type.Array(Type.String(), { description: 'As the provider words them.' }),
  expires_at: Type.Optional(form.timestamp),
  last_error: Type.Optional(Type.String()),
  failed_at: Type.Optional(form.timestamp),
  created_at: form.timestamp,
  refreshed_at: Type.Optional(form.timestamp),
  revoked_at: Type.Optional(form.timestamp),
});

export const ListQuery = Type.Object({
  ...form.pageQuery,
  provider_id: Type.Optional(form.id),
  subject: Type.Optional(subject),
  state: Type.Optional(Type.Enum(['active', 'broken', 'revoked'], { description: 'Only connections in this state.' })),
});

export const connectionParams = Type.Object({ zone_id: form.id, connection_id: form.id });
