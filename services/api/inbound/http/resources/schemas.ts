// What a resource looks like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

const identifier = Type.String({
  pattern: '^[\\x21-\\x7e]{1,256}$',
  description: 'What clients and mandates call it; unique in the zone.',
});
const upstreamUrl = Type.String({ minLength: 8, maxLength: 2048, description: 'http or https, without query.' });
const scope = Type.String({ minLength: 1, maxLength: 200 });
const scopes = Type.Array(scope, { minItems: 1, maxItems: 64, description: 'What may be granted here.' });
const kind = Type.Enum(['http'], { description: 'mcp and grpc are not supported yet.' });
const rateLimit = Type.Integer({ minimum: 0, maximum: 1_000_000, description: '0 is none.' });

export const Operation = Type.Object({
  method: Type.String({ pattern: '^(\\*|[A-Z][A-Z-]{0,31})$' }),
  path: Type.String({
    minLength: 1,
    maxLength: 1024,
    description: '`*` is one segment, `**` any rest at the end; the most specific operation wins.',
  }),
  scope,
});
const operations = Type.Array(Operation, { maxItems: 256, description: 'Which scope a call needs.' });

export const CreateResource = Type.Object({
  identifier,
  slug: Type.Optional(form.slug),
  name: Type.Optional(form.displayName),
  kind: Type.Optional(kind),
  upstream_url: upstreamUrl,
  scopes,
  operations: Type.Optional(operations),
  operation_enforcement: Type.Optional(Type.Boolean({ description: 'Deny calls that no operation names.' })),
  provider_id: Type.Optional(form.id),
  rate_limit_per_min: Type.Optional(rateLimit),
  allow_odd_paths: Type.Optional(Type.Boolean({ description: 'Forward paths that are ambiguous otherwise.' })),
});

export const UpdateResource = Type.Object({
  identifier: Type.Optional(identifier),
  slug: Type.Optional(form.slug),
  name: Type.Optional(form.displayName),
  upstream_url: Type.Optional(upstreamUrl),
  scopes: Type.Optional(scopes),
  operations: Type.Optional(operations),
  operation_enforcement: Type.Optional(Type.Boolean()),
  provider_id: Type.Optional(form.nullable(form.id)),
  rate_limit_per_min: Type.Optional(form.nullable(rateLimit)),
  allow_odd_paths: Type.Optional(Type.Boolean()),
});

export const Resource = Type.Object({
  id: form.id,
  zone_id: form.id,
  identifier: Type.String(),
  slug: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  upstream_url: Type.String(),
  scopes: Type.Array(Type.String()),
  operations: Type.Array(Operation),
  operation_enforcement: Type.Boolean(),
  provider_id: Type.Optional(Type.String()),
  rate_limit_per_min: Type.Optional(Type.Integer()),
  allow_odd_paths: Type.Boolean(),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const resourceParams = Type.Object({ zone_id: form.id, resource_id: form.id });
