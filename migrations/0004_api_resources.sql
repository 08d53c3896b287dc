-- What agents reach: providers of upstream credentials, their sealed secrets, and protected resources.
--
-- A secret is stored as an envelope that only the STS can open, bound to table, column and row_id: moved to another row it
-- does not open. The API stores envelopes and never reads them back, which is why it has no SELECT on the column.
--
-- A resource names its upstream, its scopes, the operations that need them, and at most one provider of the same zone (the
-- foreign key carries the zone, so a row cannot point across zones). Identifier and slug are unique among live rows.
--
-- Published. Everything to the STS; api_pub.resources to the Gateway, which has no need of providers; and
-- api_pub.all_resources() to the Gateway's loader for its snapshot. None of these but provider_secrets holds a secret.

CREATE TABLE api.providers (
  id           caracal.row_id PRIMARY KEY,
  zone_id      caracal.row_id NOT NULL REFERENCES api.zones,
  identifier   text NOT NULL CHECK (char_length(identifier) BETWEEN 1 AND 512),
  name         caracal.display_name NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('none', 'caracal_mandate', 'api_key', 'bearer_token', 'http_basic',
                 'oauth2_client_credentials', 'oauth2_authorization_code')),
  -- What is not secret: header names, endpoints, client id.
  config       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object'),
  version      bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at  timestamptz,
  UNIQUE (zone_id, id)
);
CREATE UNIQUE INDEX providers_live ON api.providers (zone_id, identifier) WHERE archived_at IS NULL;
CREATE INDEX providers_listed ON api.providers (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.providers');

CREATE TABLE api.provider_secrets (
  provider_id  caracal.row_id NOT NULL,
  zone_id      caracal.row_id NOT NULL,
  name         text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,63}$'),
  envelope     bytea NOT NULL CHECK (octet_length(envelope) BETWEEN 1 AND 131072),
  -- What the envelope is bound to; chosen anew with each sealing.
  row_id       caracal.row_id NOT NULL UNIQUE,
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (provider_id, name),
  FOREIGN KEY (zone_id, provider_id) REFERENCES api.providers (zone_id, id)
);
CREATE INDEX provider_secrets_zone ON api.provider_secrets (zone_id, provider_id);
CALL caracal.bind_to_zone('api.provider_secrets');

CREATE TABLE api.resources (
  id                     caracal.row_id PRIMARY KEY,
  zone_id                caracal.row_id NOT NULL REFERENCES api.zones,
  identifier             text NOT NULL CHECK (char_length(identifier) BETWEEN 1 AND 512),
  slug                   text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name                   caracal.display_name NOT NULL,
  kind                   text NOT NULL CHECK (kind IN ('http', 'mcp', 'grpc')),
  upstream_url           text NOT NULL CHECK (upstream_url ~ '^https?://' AND char_length(upstream_url) <= 2048),
  scopes                 text[] NOT NULL DEFAULT '{}' CHECK (cardinality(scopes) <= 256),
  -- [{method, path, scope}]
  operations             jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(operations) = 'array'),
  -- Whether a request that matches no operation is denied.
  operation_enforcement  boolean NOT NULL DEFAULT false,
  provider_id            caracal.row_id,
  -- NULL takes the Gateway's limit.
  rate_limit_per_min     int CHECK (rate_limit_per_min >= 0),
  allow_odd_paths        boolean NOT NULL DEFAULT false,
  version                bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at            timestamptz,
  UNIQUE (zone_id, id),
  FOREIGN KEY (zone_id, provider_id) REFERENCES api.providers (zone_id, id),
  -- Odd paths cannot be matched by patterns.
  CHECK (NOT allow_odd_paths OR operations = '[]')
);
CREATE UNIQUE INDEX resources_live ON api.resources (zone_id, identifier) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX resources_live_slug ON api.resources (zone_id, slug) WHERE archived_at IS NULL;
CREATE INDEX resources_provider ON api.resources (zone_id, provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX resources_listed ON api.resources (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.resources');

GRANT SELECT, INSERT ON api.providers TO caracal_api;
GRANT UPDATE (identifier, name, config, version, updated_at, archived_at) ON api.providers TO caracal_api;
GRANT SELECT (provider_id, zone_id, name, row_id, updated_at), INSERT, DELETE ON api.provider_secrets TO caracal_api;
GRANT UPDATE (envelope, row_id, updated_at) ON api.provider_secrets TO caracal_api;
GRANT SELECT, INSERT ON api.resources TO caracal_api;
GRANT UPDATE (identifier, slug, name, kind, upstream_url, scopes, operations, operation_enforcement, provider_id,
              rate_limit_per_min, allow_odd_paths, version, updated_at, archived_at) ON api.resources TO caracal_api;
GRANT SELECT ON api.providers TO caracal_api_loader;
GRANT SELECT ON api.resources TO caracal_api_loader;

CREATE VIEW api_pub.providers WITH (security_barrier) AS
  SELECT id, zone_id, identifier, name, kind, config, version, archived_at FROM api.providers;
REVOKE ALL ON api_pub.providers FROM PUBLIC;
GRANT SELECT ON api_pub.providers TO caracal_sts;

CREATE VIEW api_pub.provider_secrets WITH (security_barrier) AS
  SELECT provider_id, zone_id, name, envelope, row_id, updated_at FROM api.provider_secrets;
REVOKE ALL ON api_pub.provider_secrets FROM PUBLIC;
GRANT SELECT ON api_pub.provider_secrets TO caracal_sts;

CREATE VIEW api_pub.resources WITH (security_barrier) AS
  SELECT id, zone_id, identifier, slug, name, kind, upstream_url, scopes, operations, operation_enforcement, provider_id,
         rate_limit_per_min, allow_odd_paths, version, archived_at
  FROM api.resources;
REVOKE ALL ON api_pub.resources FROM PUBLIC;
GRANT SELECT ON api_pub.resources TO caracal_sts, caracal_gateway;

-- Every live resource, for the Gateway's snapshot. Runs as the API's loader.
CREATE FUNCTION api_pub.all_resources()
RETURNS TABLE (id text, zone_id text, identifier text, slug text, name text, kind text, upstream_url text, scopes text[],
               operations jsonb, operation_enforcement boolean, provider_id text, rate_limit_per_min int,
               allow_odd_paths boolean, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT r.id::text, r.zone_id::text, r.identifier, r.slug, r.name::text, r.kind, r.upstream_url, r.scopes, r.operations,
         r.operation_enforcement, r.provider_id::text, r.rate_limit_per_min, r.allow_odd_paths, r.version
  FROM api.resources AS r
  JOIN api.zones AS z ON z.id = r.zone_id
  WHERE r.archived_at IS NULL AND z.archived_at IS NULL
  ORDER BY r.id;
END;
REVOKE ALL ON FUNCTION api_pub.all_resources() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_pub.all_resources() TO caracal_gateway_loader;
GRANT CREATE ON SCHEMA api_pub TO caracal_api_loader;
ALTER FUNCTION api_pub.all_resources() OWNER TO caracal_api_loader;
REVOKE CREATE ON SCHEMA api_pub FROM caracal_api_loader;
