-- Policies, their versions, and the set versions that a zone enforces.
--
-- What has decided must stay readable: policy versions are immutable, and of a set version nothing changes but whether it is
-- active. The API's role has UPDATE on those two columns alone, and a trigger refuses the rest to everyone, the owner too.
-- At most one set version per zone is active, by a partial unique index; none active means deny.
--
-- Published. api_pub.active_policy_sets to the STS: the version a zone enforces, with the text of its policies in the order
-- of the manifest.

CREATE TABLE api.policies (
  id           caracal.row_id PRIMARY KEY,
  zone_id      caracal.row_id NOT NULL REFERENCES api.zones,
  name         caracal.display_name NOT NULL,
  description  text CHECK (char_length(description) <= 4096),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at  timestamptz,
  UNIQUE (zone_id, id)
);
CREATE UNIQUE INDEX policies_live ON api.policies (zone_id, name) WHERE archived_at IS NULL;
CREATE INDEX policies_listed ON api.policies (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.policies');

CREATE TABLE api.policy_versions (
  id              caracal.row_id PRIMARY KEY,
  zone_id         caracal.row_id NOT NULL,
  policy_id       caracal.row_id NOT NULL,
  version         int NOT NULL CHECK (version > 0),
  content         text NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 262144),
  content_sha256  caracal.digest NOT NULL,
  schema_version  text NOT NULL CHECK (char_length(schema_version) BETWEEN 1 AND 64),
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (zone_id, id),
  UNIQUE (policy_id, version),
  FOREIGN KEY (zone_id, policy_id) REFERENCES api.policies (zone_id, id)
);
CREATE INDEX policy_versions_zone ON api.policy_versions (zone_id, policy_id);
CALL caracal.bind_to_zone('api.policy_versions');

CREATE TABLE api.policy_sets (
  id           caracal.row_id PRIMARY KEY,
  zone_id      caracal.row_id NOT NULL REFERENCES api.zones,
  name         caracal.display_name NOT NULL,
  description  text CHECK (char_length(description) <= 4096),
  version      bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at  timestamptz,
  UNIQUE (zone_id, id)
);
CREATE UNIQUE INDEX policy_sets_live ON api.policy_sets (zone_id, name) WHERE archived_at IS NULL;
CREATE INDEX policy_sets_listed ON api.policy_sets (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.policy_sets');

CREATE TABLE api.policy_set_versions (
  id             caracal.row_id PRIMARY KEY,
  zone_id        caracal.row_id NOT NULL,
  policy_set_id  caracal.row_id NOT NULL,
  version        int NOT NULL CHECK (version > 0),
  -- [{policy_version_id}]
  manifest       jsonb NOT NULL CHECK (jsonb_typeof(manifest) = 'array' AND jsonb_array_length(manifest) BETWEEN 1 AND 256),
  params         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
  -- SHA-256 of the canonical {policies: [{id, content_sha256}], params}: what decisions name.
  digest         caracal.digest NOT NULL,
  active         boolean NOT NULL DEFAULT false,
  activated_at   timestamptz,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (zone_id, id),
  UNIQUE (policy_set_id, version),
  FOREIGN KEY (zone_id, policy_set_id) REFERENCES api.policy_sets (zone_id, id),
  CHECK (NOT active OR activated_at IS NOT NULL)
);
CREATE UNIQUE INDEX policy_set_versions_active ON api.policy_set_versions (zone_id) WHERE active;
CREATE INDEX policy_set_versions_zone ON api.policy_set_versions (zone_id, policy_set_id);
CALL caracal.bind_to_zone('api.policy_set_versions');

-- Refuses every change of a row but the columns named as arguments, and every deletion.
CREATE FUNCTION api.keep_immutable() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(new) - coalesce(TG_ARGV, '{}') = to_jsonb(old) - coalesce(TG_ARGV, '{}') THEN
    RETURN new;
  END IF;
  RAISE EXCEPTION '% is immutable', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE ALL ON FUNCTION api.keep_immutable() FROM PUBLIC;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON api.policy_versions
  FOR EACH ROW EXECUTE FUNCTION api.keep_immutable();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON api.policy_set_versions
  FOR EACH ROW EXECUTE FUNCTION api.keep_immutable('active', 'activated_at');

GRANT SELECT, INSERT ON api.policies TO caracal_api;
GRANT UPDATE (name, description, archived_at) ON api.policies TO caracal_api;
GRANT SELECT, INSERT ON api.policy_versions TO caracal_api;
GRANT SELECT, INSERT ON api.policy_sets TO caracal_api;
GRANT UPDATE (name, description, version, updated_at, archived_at) ON api.policy_sets TO caracal_api;
GRANT SELECT, INSERT ON api.policy_set_versions TO caracal_api;
GRANT UPDATE (active, activated_at) ON api.policy_set_versions TO caracal_api;

CREATE VIEW api_pub.active_policy_sets WITH (security_barrier) AS
  SELECT v.zone_id, v.policy_set_id, v.id AS policy_set_version_id, v.version, v.digest, v.params, v.activated_at,
    (SELECT jsonb_agg(jsonb_build_object(
              'policy_version_id', pv.id, 'name', p.name, 'content', pv.content, 'content_sha256', pv.content_sha256)
              ORDER BY m.position)
     FROM jsonb_array_elements(v.manifest) WITH ORDINALITY AS m (entry, position)
     JOIN api.policy_versions AS pv ON pv.id = m.entry ->> 'policy_version_id' AND pv.zone_id = v.zone_id
     JOIN api.policies AS p ON p.id = pv.policy_id AND p.zone_id = v.zone_id) AS policies
  FROM api.policy_set_versions AS v
  JOIN api.policy_sets AS s ON s.id = v.policy_set_id AND s.zone_id = v.zone_id
  WHERE v.active AND s.archived_at IS NULL;
REVOKE ALL ON api_pub.active_policy_sets FROM PUBLIC;
GRANT SELECT ON api_pub.active_policy_sets TO caracal_sts;
