-- The STS's own: the installation's identity, the zones' signing keys, and the records of ambient mints.
--
-- A zone's signing key is sealed under ZONE_KEK, which the STS alone holds; the table keeps the envelope and the public part.
-- The API makes a key through the STS and stores it with the zone in one transaction by calling sts_pub.install_zone_key: it
-- can add a key to the zone it is bound to and can read none. That call writes the stream entry and the evidence, too.
--
-- A session record is what `sid` names: one row per ambient mint that is not a session mandate. Everything derived keeps its
-- sid and root_sid and writes nothing here. Rows are never changed.
--
-- Published. sts_pub.install_zone_key to the API; sts_pub.installation() to Audit and the API.

CREATE TABLE sts.installation (
  singleton        boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  installation_id  uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Grows with every recovery from a restored database; what was issued before fenced_before is void.
  recovery_epoch   bigint NOT NULL DEFAULT 0 CHECK (recovery_epoch >= 0),
  fenced_before    timestamptz
);
INSERT INTO sts.installation DEFAULT VALUES;

CREATE TABLE sts.zone_keys (
  -- The `kid`, unique across zones.
  id            caracal.text_id PRIMARY KEY,
  zone_id       caracal.row_id NOT NULL,
  version       int NOT NULL CHECK (version > 0),
  public_jwk    jsonb NOT NULL CHECK (
                  public_jwk ->> 'kty' = 'EC' AND public_jwk ->> 'crv' = 'P-256' AND NOT public_jwk ? 'd'),
  envelope      bytea NOT NULL CHECK (octet_length(envelope) BETWEEN 1 AND 4096),
  signs_from    timestamptz NOT NULL,
  signs_until   timestamptz,
  -- From then on it is out of JWKS.
  retires_at    timestamptz,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (zone_id, version),
  CHECK (signs_until IS NULL OR signs_until >= signs_from),
  CHECK (retires_at IS NULL OR (signs_until IS NOT NULL AND retires_at >= signs_until))
);
CALL caracal.bind_to_zone('sts.zone_keys');

CREATE TABLE sts.session_records (
  id                caracal.row_id PRIMARY KEY,
  zone_id           caracal.row_id NOT NULL,
  root_id           caracal.row_id NOT NULL,
  parent_id         caracal.row_id,
  application_id    caracal.row_id NOT NULL,
  subject           text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 512),
  subject_type      text NOT NULL CHECK (subject_type IN ('user', 'application')),
  agent_session_id  caracal.row_id,
  expires_at        timestamptz NOT NULL,
  created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((parent_id IS NULL) = (root_id = id))
);
CREATE INDEX session_records_application ON sts.session_records (zone_id, application_id, created_at DESC);
CREATE INDEX session_records_expiry ON sts.session_records (expires_at);
CALL caracal.bind_to_zone('sts.session_records');

GRANT SELECT ON sts.installation TO caracal_sts;
GRANT UPDATE (recovery_epoch, fenced_before) ON sts.installation TO caracal_sts;
GRANT SELECT, INSERT ON sts.zone_keys TO caracal_sts;
GRANT UPDATE (envelope, signs_until, retires_at) ON sts.zone_keys TO caracal_sts;
GRANT SELECT, INSERT, DELETE ON sts.session_records TO caracal_sts;

-- Writes an event of the STS into its outbox, from inside its own definer functions. caracal.request_id is set by the
-- caller's transaction and joins the evidence to the request that caused it.
CREATE FUNCTION sts.write_evidence(p_zone text, p_event_type text, p_metadata jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_id text := caracal.new_row_id();
BEGIN
  INSERT INTO sts.outbox (id, zone_id, stream, order_key, dedupe_key, payload)
  VALUES (v_id, p_zone, 'caracal.audit.events', v_id, 'audit:' || v_id, jsonb_build_object(
    'zoneId', p_zone,
    'eventType', p_event_type,
    'requestId', coalesce(current_setting('caracal.request_id', true), ''),
    'metadata', p_metadata));
END
$$;
REVOKE ALL ON FUNCTION sts.write_evidence(text, text, jsonb) FROM PUBLIC;

-- Adds the zone's first signing key; it signs at once. A zone that has a key gets another by rotation only.
CREATE FUNCTION sts_pub.install_zone_key(p_zone text, p_kid text, p_public_jwk jsonb, p_envelope bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_number bigint;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  INSERT INTO sts.zone_keys (id, zone_id, version, public_jwk, envelope, signs_from)
  VALUES (p_kid, p_zone, 1, p_public_jwk, p_envelope, clock_timestamp());
  PERFORM sts.write_evidence(p_zone, 'key.created', jsonb_build_object('kid', p_kid, 'version', 1));
  UPDATE sts.stream_heads AS h SET head = h.head + 1 WHERE h.stream = 'caracal.keys.invalidate' RETURNING h.head INTO v_number;
  INSERT INTO sts.outbox (id, zone_id, stream, order_key, dedupe_key, number, payload)
  VALUES (caracal.new_row_id(), p_zone, 'caracal.keys.invalidate', p_zone, 'key:' || p_kid, v_number,
          jsonb_build_object('zoneId', p_zone));
END
$$;
REVOKE ALL ON FUNCTION sts_pub.install_zone_key(text, text, jsonb, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.install_zone_key(text, text, jsonb, bytea) TO caracal_api;

CREATE FUNCTION sts_pub.installation() RETURNS TABLE (installation_id uuid, recovery_epoch bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.installation_id, i.recovery_epoch FROM sts.installation AS i;
END;
REVOKE ALL ON FUNCTION sts_pub.installation() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.installation() TO caracal_audit, caracal_api;
