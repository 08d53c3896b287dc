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

const injected = {
  header_name: Type.Optional(headerName),
  scheme: Type.Optional(scheme),
  allowed_hosts: Type.Optional(
    Type.Array(host, { maxItems: 32, description: 'The only hosts the credential may go to.' }),
  ),
};

const configs = {
  none: Type.Object({ forward_identity: Type.Optional(forwardIdentity) }),
  caracal_mandate: Type.Object(injected),
  bearer_token: Type.Object({ ...injected, forward_identity: Type.Optional(forwardIdentity) }),
  api_key: Type.Object({ ...injected, forward_identity: Type.Optional(forwardIdentity) }),
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
  description: 'By name: `token` for bearer_token, `api_key` for api_key. Written and never read.',
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
