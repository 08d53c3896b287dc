-- What an application registers about itself beyond its secret: the keys it signs client assertions with (RFC 7523), who may
-- act for it (RFC 8693 §4.4), the resources it serves (and so may introspect mandates for, RFC 7662), and whether its
-- mandates are bound to a key.
--
-- sender_constraint: off takes no proof; allowed binds when the client proves a key; required refuses to mint without.

ALTER TABLE api.applications
  ADD COLUMN public_keys jsonb CHECK (jsonb_typeof(public_keys) = 'object' AND jsonb_typeof(public_keys -> 'keys') = 'array'),
  ADD COLUMN may_act jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(may_act) = 'array'),
  ADD COLUMN serves text[] NOT NULL DEFAULT '{}' CHECK (cardinality(serves) <= 64),
  DROP CONSTRAINT applications_sender_constraint_check,
  ADD CONSTRAINT applications_sender_constraint_check CHECK (sender_constraint IN ('off', 'allowed', 'required'));

GRANT UPDATE (public_keys, may_act, serves) ON api.applications TO caracal_api;

CREATE OR REPLACE VIEW api_pub.applications WITH (security_barrier) AS
  SELECT id, zone_id, name, registration_method, credential_type, secret_hash, traits, labels, consent, sender_constraint,
         expires_at, version, archived_at, public_keys, may_act, serves
  FROM api.applications;
