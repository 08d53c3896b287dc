// What a provider looks like on the wire: the settings of each kind are a closed set.
import { Type } from 'typebox';
import type { FieldViolation } from '#mesh/failure';
import { createJsonValidator } from '#mesh/http';
import { providerKinds, type ProviderKind } from '../../../domain/provider-kind.ts';
import * as form from '../schemas.ts';

/** RFC 9110 §5.6.2 token. */
const headerName = Type.String({
  pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
  description: 'Carries the credential.',
});
const scheme = Type.String({ pattern: '^[\\x21-\\x7e]{0,32}$', description: 'Stands before the credential.' });
const host = Type.String({ pattern: String.raw`^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?$` });
const forwardIdentity = Type.Boolean({ description: 'Also tell the upstream who calls, by a mandate.' });

const hosts = (description: string) => Type.Optional(Type.Array(host, { minItems: 1, maxItems: 32, description }));
const text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '^[\\x21-\\x7e]+$', description });
/** RFC 6749 §3.3. */
const scopeToken = Type.String({ pattern: String.raw`^[\x21\x23-\x5b\x5d-\x7e]{1,200}$` });
const params = (description: string) =>
  Type.Record(Type.String({ pattern: '^[A-Za-z0-9._~-]{1,64}$' }), Type.String({ maxLength: 1024 }), {
    maxProperties: 16,
    additionalProperties: false,
    description,
  });

const allowedHosts = { allowed_hosts: hosts('The only upstream hosts the credential may go to.') };
const injected = { header_name: Type.Optional(headerName), scheme: Type.Optional(scheme), ...allowedHosts };
const told = { forward_identity: Type.Optional(forwardIdentity) };

const oauth = {
  ...injected,
  ...told,
  token_url: text(2048, 'The token endpoint (RFC 6749 §3.2).'),
  allowed_token_hosts: hosts('The only hosts token requests may go to; names that of token_url.'),
  issuer: Type.Optional(text(2048, 'The server’s issuer identifier (RFC 8414); audience of client assertions.')),
  // RFC 6749 appendix A.1.
  client_id: Type.String({ pattern: '^[\\x20-\\x7e]{1,512}$', description: 'Our client at the provider.' }),
  client_authentication: Type.Optional(
    Type.Enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'], {
      description: 'How the client is proven; client_secret_basic when absent.',
    }),
  ),
  key_id: Type.Optional(text(256, '`kid` of client assertions.')),
  signing_algorithm: Type.Optional(
    Type.Enum(['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA'], {
      description: 'Of client assertions; ES256 when absent.',
    }),
  ),
  scopes: Type.Optional(Type.Array(scopeToken, { maxItems: 64 })),
  audience: Type.Optional(text(2048, 'Sent as `audience`, where the server wants one.')),
  resource: Type.Optional(Type.Array(text(2048, 'RFC 8707.'), { maxItems: 8 })),
  token_params: Type.Optional(params('Further parameters of token requests.')),
};

const configs = {
  none: Type.Object(told),
  caracal_mandate: Type.Object(injected),
  bearer_token: Type.Object({ ...injected, ...told }),
  api_key: Type.Object({
    ...injected,
    ...told,
    auth_location: Type.Optional(Type.Enum(['header', 'query'], { description: 'header when absent.' })),
    query_param_name: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._~-]{1,64}$' })),
  }),
  http_basic: Type.Object({
    ...allowedHosts,
    ...told,
    // RFC 7617 §2: no colon.
    username: Type.String({ pattern: String.raw`^[^:\p{Cc}]{1,256}$`, description: 'The secret is `password`.' }),
  }),
  oauth2_client_credentials: Type.Object(oauth),
  oauth2_authorization_code: Type.Object({
    ...oauth,
    authorization_url: text(2048, 'Where people consent (RFC 6749 §3.1).'),
    redirect_uris: Type.Array(text(2048, 'Compared exactly.'), { minItems: 1, maxItems: 8 }),
    authorization_params: Type.Optional(params('Further parameters of the authorization request.')),
    connection: Type.Optional(
      Type.Enum(['user', 'zone'], { description: 'Who holds connections: each user (when absent), or the zone one.' }),
    ),
  }),
} as const satisfies Record<ProviderKind, object>;

const validators = Object.fromEntries(
  providerKinds.map((kind) => [kind, createJsonValidator(configs[kind])]),
) as Record<ProviderKind, ReturnType<typeof createJsonValidator>>;

/** What is wrong with the shape of a configuration of this kind. */
export function configProblems(kind: ProviderKind, config: unknown): FieldViolation[] {
  const result = validators[kind](config);
  if (result.kind === 'valid') return [];
  return result.failure.fields.map(({ path, rule }) => ({ path: path === '' ? 'config' : `config.${path}`, rule }));
}

const identifier = Type.String({ pattern: '^[\\x21-\\x7e]{1,256}$', description: 'Unique in the zone.' });
const secretText = Type.String({ minLength: 1, maxLength: 8000 });
const secrets = Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), secretText, {
  maxProperties: 8,
  additionalProperties: false,
  description:
    'By name: `token` (bearer_token), `api_key` (api_key), `password` (http_basic), `client_secret` or `private_key` (PKCS #8 in PEM; oauth2_*). Written and never read.',
});

export const CreateProvider = Type.Object({
  identifier,
  name: Type.Optional(form.displayName),
  kind: Type.String({ maxLength: 64, description: `One of ${providerKinds.join(', ')}.` }),
  config: Type.Optional(form.document('Settings of the kind, a closed set.')),
  secrets: Type.Optional(secrets),
});

export const UpdateProvider = Type.Object({
  identifier: Type.Optional(identifier),
  name: Type.Optional(form.displayName),
  config: Type.Optional(form.document('Replaces all settings.')),
  secrets: Type.Optional(secrets),
});

export const TestProvider = Type.Object({
  subject: Type.Optional(form.line(512, 'The user whose connection is tested.')),
});

export const ProviderTested = Type.Object({
  ok: Type.Boolean(),
  reason: Type.Optional(Type.String({ description: 'Why not, from docs/reference/errors.md.' })),
  description: Type.Optional(Type.String()),
  elapsed_ms: Type.Integer(),
  expires_at: Type.Optional(form.timestamp),
});

export const Provider = Type.Object({
  id: form.id,
  zone_id: form.id,
  identifier: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  config: form.document('Settings of the kind.'),
  secret_names: Type.Array(Type.String(), { description: 'The secrets that are set.' }),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const providerParams = Type.Object({ zone_id: form.id, provider_id: form.id });
