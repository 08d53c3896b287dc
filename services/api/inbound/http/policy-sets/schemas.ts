// What policy sets, their versions and their activation look like on the wire.
import { Type } from 'typebox';
import * as form from '../schemas.ts';

export const CreatePolicySet = Type.Object({ name: form.displayName, description: Type.Optional(form.description) });

export const UpdatePolicySet = Type.Object({
  name: Type.Optional(form.displayName),
  description: Type.Optional(form.nullable(form.description)),
});

const Entry = Type.Object({ policy_version_id: form.id });

export const AddSetVersion = Type.Object({
  manifest: Type.Array(Entry, { minItems: 1, maxItems: 256, description: 'Policy versions in order.' }),
  params: Type.Optional(form.document('The data that policies of this version read as `params`.')),
});

export const PolicySet = Type.Object({
  id: form.id,
  zone_id: form.id,
  name: Type.String(),
  description: Type.Optional(Type.String()),
  active_version_id: Type.Optional(Type.String({ description: 'What the zone enforces, when it is of this set.' })),
  version: form.version,
  created_at: form.timestamp,
  updated_at: form.timestamp,
});

export const PolicySetVersion = Type.Object({
  id: form.id,
  zone_id: form.id,
  policy_set_id: form.id,
  version: form.version,
  manifest: Type.Array(Entry),
  params: form.document('The data of this version.'),
  digest: Type.String({ description: 'SHA-256 of code and data; decisions in the ledger name it.' }),
  active: Type.Boolean(),
  activated_at: Type.Optional(form.timestamp),
  created_at: form.timestamp,
});

export const Activate = Type.Object({ version_id: form.id });
export const RollBack = Type.Object({
  version_id: Type.Optional(Type.Union([form.id], { description: 'The version active before when absent.' })),
});

export const Activated = Type.Object({
  activated: Type.Boolean(),
  policy_set_id: form.id,
  version_id: form.id,
  digest: Type.String(),
  status_url: Type.String({ description: 'Says when it is enforced.' }),
});

export const ActivationStatus = Type.Object({
  policy_set_id: form.id,
  active_version_id: Type.Optional(Type.String()),
  digest: Type.Optional(Type.String()),
  activated_at: Type.Optional(form.timestamp),
  propagated: Type.Boolean({ description: 'The STS enforces what is active in the zone.' }),
  loaded: Type.Boolean({ description: 'OPA holds it; it is loaded at first use otherwise.' }),
});

export const setParams = Type.Object({ zone_id: form.id, policy_set_id: form.id });
export const setVersionParams = Type.Object({ zone_id: form.id, policy_set_id: form.id, version_id: form.id });
