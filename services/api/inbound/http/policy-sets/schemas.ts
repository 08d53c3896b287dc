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
  shadow_version_id: Type.Optional(Type.String({ description: 'What the zone watches, when it is of this set.' })),
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
  shadow: Type.Boolean({ description: 'Evaluated beside the active one, never enforced.' }),
  activated_at: Type.Optional(form.timestamp),
  created_at: form.timestamp,
});

export const Activate = Type.Object({
  version_id: form.id,
  shadow_version_id: Type.Optional(
    Type.Union([form.id, Type.Null()], {
      description: 'Watched beside it from now on, of any set; null watches nothing, absent leaves it as it is.',
    }),
  ),
});
export const RollBack = Type.Object({
  version_id: Type.Optional(Type.Union([form.id], { description: 'The version active before when absent.' })),
});

export const Watch = Type.Object({ version_id: form.id });

/** On every call that changes what a zone enforces or watches. */
export const PropagatedQuery = Type.Object({
  wait: Type.Optional(Type.Enum(['propagated'], { description: 'Answer when every live replica has it.' })),
  timeout_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: 25_000, description: '10000 when absent.' })),
});

const propagation = {
  propagated: Type.Optional(Type.Boolean({ description: 'Every live replica of STS and Gateway has it.' })),
  points: Type.Optional(Type.Integer({ description: 'Live replicas.' })),
  elapsed_ms: Type.Optional(Type.Integer()),
};

/** What a call that only takes away answers when it was asked to wait. */
export const Propagated = Type.Object(propagation);

export const Activated = Type.Object({
  activated: Type.Boolean(),
  policy_set_id: form.id,
  version_id: form.id,
  digest: Type.String(),
  shadow_version_id: Type.Optional(Type.String()),
  ...propagation,
  status_url: Type.String({ description: 'Says when it is enforced.' }),
});

export const ActivationStatus = Type.Object({
  policy_set_id: form.id,
  active_version_id: Type.Optional(Type.String()),
  digest: Type.Optional(Type.String()),
  activated_at: Type.Optional(form.timestamp),
  shadow_version_id: Type.Optional(Type.String({ description: 'What the zone watches, when it is of this set.' })),
  propagated: Type.Boolean({
    description: "Every live replica knows the zone's last change, and the STS that answered enforces it.",
  }),
  points: Type.Integer({ description: 'Live replicas of STS and Gateway.' }),
  waiting: Type.Array(Type.String(), { description: 'Replicas that are waited for: <service>/<replica>.' }),
  loaded: Type.Boolean({ description: 'OPA holds it; it is loaded at first use otherwise.' }),
});

export const DifferenceQuery = Type.Object({
  ...form.pageQuery,
  since: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339, inclusive.' })),
  until: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339, exclusive.' })),
  application_id: Type.Optional(form.id),
});

/** A decision that the watched version would have taken otherwise. */
export const ShadowDifference = Type.Object({
  event_id: form.id,
  occurred_at: form.timestamp,
  request_id: Type.Optional(Type.String()),
  application_id: Type.Optional(Type.String()),
  resource: Type.Optional(Type.String()),
  scopes: Type.Optional(Type.Array(Type.String())),
  enforced: Type.String({ description: 'allow, hold or deny, as it was enforced.' }),
  enforced_status: Type.String(),
  shadow: Type.String({ description: 'allow, hold or deny, as the watched version says.' }),
  shadow_status: Type.String(),
  version_id: Type.Optional(Type.String({ description: 'What was enforced.' })),
  shadow_version_id: Type.String(),
  shadow_digest: Type.String(),
  determining_policies: Type.Optional(Type.Array(Type.String(), { description: 'Of the watched version.' })),
  diagnostics: Type.Optional(Type.Array(form.document('What the watched version said.'))),
  input_digest: Type.Optional(Type.String()),
  suppressed: Type.Optional(Type.Integer({ description: 'Differences of the zone left out since the one before.' })),
});

export const setParams = Type.Object({ zone_id: form.id, policy_set_id: form.id });
export const setVersionParams = Type.Object({ zone_id: form.id, policy_set_id: form.id, version_id: form.id });
