-- Zones and the applications in them: the tenants and the identities that ask for mandates.
--
-- A zone is the wall between tenants. Its row is bound to itself: it is seen where caracal.zone_id is its own id, and an
-- insert must name the same id as the transaction. Zones and applications are archived, never deleted; everything that
-- decides treats an archived row as if it did not exist.
--
-- Secrets. applications.secret_hash is an Argon2id hash, never the secret. zones.secret_check_key keys the check part of
-- client secrets, so that junk is refused without a derivation; it is made with the zone and never rotated.
--
-- Published. api_pub.zones and api_pub.applications to the STS (with secret_hash and secret_check_key, which it alone needs);
-- api_pub.all_zones() to the Gateway's loader, without either.

CREATE TABLE api.zones (
  id                caracal.row_id PRIMARY KEY,
  name              caracal.display_name NOT NULL,
  slug              text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  org_id            caracal.text_id,
  dcr_enabled       boolean NOT NULL DEFAULT false,
  pkce_required     boolean NOT NULL DEFAULT true,
  login_flow        text NOT NULL DEFAULT 'default' CHECK (char_length(login_flow) BETWEEN 1 AND 64),
  -- IANA time zone, opening hours per weekday, closed dates; NULL is always open.
  calendar          jsonb CHECK (jsonb_typeof(calendar) = 'object'),
  -- Whether the ledger keeps decision inputs, for replay.
  record_inputs     boolean NOT NULL DEFAULT true,
  secret_check_key  bytea NOT NULL CHECK (octet_length(secret_check_key) = 32),
  version           bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at       timestamptz
);
CREATE INDEX zones_listed ON api.zones (created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.zones', 'id');

CREATE TABLE api.applications (
  id                   caracal.row_id PRIMARY KEY,
  zone_id              caracal.row_id NOT NULL REFERENCES api.zones,
  name                 caracal.display_name NOT NULL,
  registration_method  text NOT NULL CHECK (registration_method IN ('managed', 'dcr')),
  credential_type      text NOT NULL CHECK (credential_type IN ('token', 'password', 'public-key', 'url', 'public')),
  secret_hash          text CHECK (secret_hash ~ '^argon2id\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$'),
  traits               jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(traits) = 'array'),
  labels               jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  consent              text NOT NULL DEFAULT 'implicit' CHECK (consent IN ('required', 'implicit')),
  sender_constraint    text NOT NULL DEFAULT 'off' CHECK (sender_constraint IN ('off', 'required')),
  expires_at           timestamptz,
  version              bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at          timestamptz,
  UNIQUE (zone_id, id)
);
CREATE INDEX applications_listed ON api.applications (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.applications');

GRANT SELECT, INSERT ON api.zones TO caracal_api;
GRANT UPDATE (name, slug, org_id, dcr_enabled, pkce_required, login_flow, calendar, record_inputs, version, updated_at,
              archived_at) ON api.zones TO caracal_api;
GRANT SELECT ON api.zones TO caracal_api_loader;
GRANT SELECT, INSERT ON api.applications TO caracal_api;
GRANT UPDATE (name, credential_type, secret_hash, traits, labels, consent, sender_constraint, expires_at, version,
              updated_at, archived_at) ON api.applications TO caracal_api;
GRANT SELECT ON api.applications TO caracal_api_loader;

CREATE VIEW api_pub.zones WITH (security_barrier) AS
  SELECT id, name, slug, dcr_enabled, pkce_required, login_flow, calendar, record_inputs, secret_check_key, version,
         archived_at
  FROM api.zones;
REVOKE ALL ON api_pub.zones FROM PUBLIC;
GRANT SELECT ON api_pub.zones TO caracal_sts;

CREATE VIEW api_pub.applications WITH (security_barrier) AS
  SELECT id, zone_id, name, registration_method, credential_type, secret_hash, traits, labels, consent, sender_constraint,
         expires_at, version, archived_at
  FROM api.applications;
REVOKE ALL ON api_pub.applications FROM PUBLIC;
GRANT SELECT ON api_pub.applications TO caracal_sts;

-- Every zone there is, for the Gateway's routes. Runs as the API's loader, which sees all zones and can write nothing.
CREATE FUNCTION api_pub.all_zones()
RETURNS TABLE (id text, name text, slug text, version bigint, archived_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT z.id::text, z.name::text, z.slug, z.version, z.archived_at FROM api.zones AS z ORDER BY z.id;
END;
REVOKE ALL ON FUNCTION api_pub.all_zones() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_pub.all_zones() TO caracal_gateway_loader;
-- Handing a function over needs CREATE on its schema for the new owner, at that moment only.
GRANT CREATE ON SCHEMA api_pub TO caracal_api_loader;
ALTER FUNCTION api_pub.all_zones() OWNER TO caracal_api_loader;
REVOKE CREATE ON SCHEMA api_pub FROM caracal_api_loader;
