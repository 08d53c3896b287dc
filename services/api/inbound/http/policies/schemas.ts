// What policies and their versions look like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

/** 262,144 bytes is the store's bound; characters are counted here and bytes by the route. */
const content = Type.String({ minLength: 1, maxLength: 262_144, description: 'Rego v1, package caracal.authz.' });

export const CreatePolicy = Type.Object({
  name: form.displayName,
  description: Type.Optional(form.description),
  content,
});

export const AddVersion = Type.Object({ content });

export const PolicyVersion = Type.Object({
  id: form.id,
  zone_id: form.id,
  policy_id: form.id,
  version: form.version,
  content_sha256: Type.String(),
  schema_version: Type.String(),
  created_at: form.timestamp,
});

export const PolicyVersionWithContent = Type.Object({ ...PolicyVersion.properties, content: Type.String() });

export const Policy = Type.Object({
  id: form.id,
  zone_id: form.id,
  name: Type.String(),
  description: Type.Optional(Type.String()),
  latest_version: Type.Optional(Type.Integer()),
  created_at: form.timestamp,
});

export const PolicyWithVersion = Type.Object({ ...Policy.properties, version: PolicyVersion });

export const policyParams = Type.Object({ zone_id: form.id, policy_id: form.id });
export const policyVersionParams = Type.Object({ zone_id: form.id, policy_id: form.id, version_id: form.id });
