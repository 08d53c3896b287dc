-- The ground every other migration stands on: who owns what, what an id looks like, how a row is bound to its zone.
--
-- Schemas. Each service has a schema of its own (api, sts, coordinator, audit, gateway) that only its own role may use.
-- What a service lets others read or do is published in <service>_pub: views with security_barrier for reading, SECURITY
-- DEFINER functions for everything else. Each is granted to the roles that need it, one by one, beside its definition.
--
-- Roles (made by `npm run migrate -- bootstrap`, never here, because roles belong to the cluster and not to a database).
--   caracal_owner              owns every schema, table, view and function; neither superuser nor BYPASSRLS
--   caracal_<service>          what a service runs as
--   caracal_<service>_loader   reads all zones of its own service's tables, in read-only transactions; never inherited,
--                              because a policy written for a role also applies to whoever inherits it
--
-- Zones. Row-level security is enabled and FORCED on every zone table, so it holds for the owner too, and therefore inside
-- views and definer functions. The one policy is `zone_bound`: a row is seen and written only while the transaction's
-- setting caracal.zone_id (SET LOCAL) is the row's zone. Unset, the setting is NULL, and NULL equals nothing: no rows.
-- The loader's policy `all_zones` is FOR SELECT alone. Definer functions that take a zone call caracal.require_zone first.
--
-- PUBLIC holds nothing: EXECUTE on functions, which Postgres grants to PUBLIC by default, is taken away here for all
-- functions the owner will ever make in this database, and once more beside each of them.

ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC;

CREATE SCHEMA api;
CREATE SCHEMA sts;
CREATE SCHEMA coordinator;
CREATE SCHEMA audit;
CREATE SCHEMA gateway;
CREATE SCHEMA api_pub;
CREATE SCHEMA sts_pub;
CREATE SCHEMA coordinator_pub;
CREATE SCHEMA audit_pub;

-- A service uses its own schema.
GRANT USAGE ON SCHEMA api TO caracal_api, caracal_api_loader;
GRANT USAGE ON SCHEMA sts TO caracal_sts, caracal_sts_loader;
GRANT USAGE ON SCHEMA coordinator TO caracal_coordinator, caracal_coordinator_loader;
GRANT USAGE ON SCHEMA audit TO caracal_audit, caracal_audit_loader;
GRANT USAGE ON SCHEMA gateway TO caracal_gateway, caracal_gateway_loader;

-- Who reads from whom. Usage of a schema opens nothing by itself; each object in it is granted apart.
GRANT USAGE ON SCHEMA api_pub TO caracal_sts, caracal_gateway, caracal_gateway_loader;
GRANT USAGE ON SCHEMA sts_pub TO caracal_sts, caracal_api, caracal_coordinator, caracal_gateway, caracal_audit;
GRANT USAGE ON SCHEMA sts_pub TO caracal_sts_loader, caracal_gateway_loader;
GRANT USAGE ON SCHEMA coordinator_pub TO caracal_sts, caracal_gateway;
GRANT USAGE ON SCHEMA audit_pub TO caracal_audit, caracal_sts, caracal_gateway, caracal_api, caracal_coordinator;

-- Ids that we choose: UUIDv7 (RFC 9562 §5.7) in lower case. The system zone's fixed id has the same form.
CREATE DOMAIN caracal.row_id AS text
  CHECK (VALUE ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$');

-- Ids that clients choose.
CREATE DOMAIN caracal.text_id AS text CHECK (VALUE ~ '^[A-Za-z0-9_.:-]{1,128}$');

-- SHA-256 in lower-case hex.
CREATE DOMAIN caracal.digest AS text CHECK (VALUE ~ '^[0-9a-f]{64}$');

-- What people call a thing.
CREATE DOMAIN caracal.display_name AS text CHECK (char_length(VALUE) BETWEEN 1 AND 256);

-- A UUIDv7 for rows that are written inside functions: 48 bits of time, the rest random. uuidv7() itself needs 18.
CREATE FUNCTION caracal.new_row_id() RETURNS text
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (
  SELECT substr(t.hex, 1, 8) || '-' || substr(t.hex, 9, 4) || '-7' || substr(gen_random_uuid()::text, 16)
  FROM (SELECT lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') AS hex) AS t
);
REVOKE ALL ON FUNCTION caracal.new_row_id() FROM PUBLIC;

-- Refuses, as a privilege error, a zone that is not the transaction's own.
CREATE FUNCTION caracal.require_zone(p_zone text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_zone IS NULL OR p_zone = '' OR p_zone IS DISTINCT FROM current_setting('caracal.zone_id', true) THEN
    RAISE EXCEPTION 'the zone argument is not the zone of the transaction' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
REVOKE ALL ON FUNCTION caracal.require_zone(text) FROM PUBLIC;

-- Binds a table to its zone: the two policies, enabled and forced. p_column is the column that names the zone. The loader
-- is that of the service whose schema the table is in.
CREATE PROCEDURE caracal.bind_to_zone(p_table regclass, p_column text DEFAULT 'zone_id')
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_service text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = p_table);
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
  EXECUTE format(
    'CREATE POLICY zone_bound ON %s USING (%I = current_setting(''caracal.zone_id'', true))', p_table, p_column);
  EXECUTE format(
    'CREATE POLICY all_zones ON %s FOR SELECT TO %I USING (true)', p_table, 'caracal_' || v_service || '_loader');
END
$$;
REVOKE ALL ON PROCEDURE caracal.bind_to_zone(regclass, text) FROM PUBLIC;
