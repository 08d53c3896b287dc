-- Rotation of the zones' signing keys, the end of leaked ones, and what is erased when its time is over.
--
-- A key passes through four states: published (in JWKS, not signing yet), signing, verifying (in JWKS until the last mandate it
-- signed has expired), retired (out of JWKS, for ever). rotate_zone_key publishes a key that signs after p_lead_seconds; the
-- newest key before it signs until then. Rotations may overlap: windows of signing follow each other without a gap.
-- replace_zone_keys is for a key that leaked: a new key signs at once, all others are retired, and anchors refuse what they
-- signed.
--
-- A leaked key signs any claim, `rev` included. An anchor on a zone key therefore refuses at any `rev`, and may only name a key
-- that is retired; and no mandate can have a `rev` above the head, because the head is committed before an STS can apply it.
--
-- The private part of a key that signs no more is erased, at the latest a minute after. Locks: the zone's keys, then the heads
-- of caracal.keys.invalidate and caracal.sessions.revoke.
--
-- Published to the API: lock_zone_keys, rotate_zone_key, replace_zone_keys, zone_keys (without envelopes); and
-- api_pub.reseal_provider_secret to the STS, which replaces an envelope by another of the same secret.

ALTER TABLE sts.zone_keys
  ALTER COLUMN envelope DROP NOT NULL,
  -- Whether the ledger has been told of its retirement.
  ADD COLUMN told_retired boolean NOT NULL DEFAULT false;
CREATE INDEX zone_keys_ended ON sts.zone_keys (signs_until) WHERE signs_until IS NOT NULL AND NOT told_retired;
-- What has ended is looked after for all zones at once, by the functions below alone.
CREATE POLICY ended ON sts.zone_keys TO caracal_owner USING (signs_until < clock_timestamp());
CREATE POLICY expired ON sts.session_records TO caracal_owner USING (expires_at < clock_timestamp() - interval '1 hour');

-- The zones that have keys are the zones there are; envelopes stay out of the loader's sight.
GRANT SELECT (id, zone_id) ON sts.zone_keys TO caracal_sts_loader;

-- A row-level policy of the owner sees ended keys of all zones, so the view names its zone itself.
CREATE VIEW sts_pub.zone_keys WITH (security_barrier) AS
  SELECT id, zone_id, version, public_jwk, signs_from, signs_until, retires_at, created_at,
    CASE
      WHEN retires_at <= clock_timestamp() THEN 'retired'
      WHEN signs_until <= clock_timestamp() THEN 'verifying'
      WHEN signs_from <= clock_timestamp() THEN 'signing'
      ELSE 'published'
    END AS state
  FROM sts.zone_keys
  WHERE zone_id = current_setting('caracal.zone_id', true);
REVOKE ALL ON sts_pub.zone_keys FROM PUBLIC;
GRANT SELECT ON sts_pub.zone_keys TO caracal_api;

-- Tells every cache that the zone's keys changed; the number is what a replica has applied when it knows.
CREATE FUNCTION sts.announce_zone_keys(p_zone text, p_cause text, OUT o_incarnation text, OUT o_number bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE sts.stream_heads AS h SET head = h.head + 1 WHERE h.stream = 'caracal.keys.invalidate'
  RETURNING h.incarnation, h.head INTO o_incarnation, o_number;
  INSERT INTO sts.outbox (id, zone_id, stream, order_key, dedupe_key, number, payload)
  VALUES (caracal.new_row_id(), p_zone, 'caracal.keys.invalidate', p_zone, 'key:' || p_cause, o_number,
          jsonb_build_object('zoneId', p_zone));
END
$$;
REVOKE ALL ON FUNCTION sts.announce_zone_keys(text, text) FROM PUBLIC;

-- Locks the zone's keys until the transaction ends: one rotation at a time. How many are in JWKS, and the newest version.
CREATE FUNCTION sts_pub.lock_zone_keys(p_zone text) RETURNS TABLE (live int, newest int)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM caracal.require_zone(p_zone);
  PERFORM FROM sts.zone_keys AS k WHERE k.zone_id = p_zone ORDER BY k.version FOR UPDATE;
  -- A statement of its own, so that it sees what the transaction before has added.
  RETURN QUERY
    SELECT count(*) FILTER (WHERE k.retires_at IS NULL OR k.retires_at > clock_timestamp())::int, coalesce(max(k.version), 0)
    FROM sts.zone_keys AS k WHERE k.zone_id = p_zone;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.lock_zone_keys(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.lock_zone_keys(text) TO caracal_api;

-- Publishes a key that signs from p_lead_seconds on. The newest key signs until then and verifies for 3,660 s more: the longest
-- mandate (3,600 s) and the leeway of other people's clocks (60 s). Returns the position of caracal.keys.invalidate.
CREATE FUNCTION sts_pub.rotate_zone_key(
  p_zone text, p_kid text, p_public_jwk jsonb, p_envelope bytea, p_lead_seconds int, p_reason text)
RETURNS TABLE (incarnation text, number bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_live int;
  v_newest int;
  v_from timestamptz;
  v_before sts.zone_keys;
BEGIN
  SELECT l.live, l.newest INTO v_live, v_newest FROM sts_pub.lock_zone_keys(p_zone) AS l;
  -- JWKS shows 16 keys at most; each stays there for about an hour.
  IF v_live NOT BETWEEN 1 AND 12 THEN
    RAISE EXCEPTION 'a zone with % keys in use cannot get another by rotation', v_live USING ERRCODE = 'object_in_use';
  END IF;
  IF p_lead_seconds IS NULL OR p_lead_seconds NOT BETWEEN 0 AND 86400 THEN
    RAISE EXCEPTION 'a key is published 0 to 86400 seconds ahead' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT * INTO v_before FROM sts.zone_keys AS k WHERE k.zone_id = p_zone AND k.version = v_newest;
  -- Never before the key that waits ahead of it, so that windows follow each other.
  v_from := greatest(v_now + make_interval(secs => p_lead_seconds), v_before.signs_from);
  UPDATE sts.zone_keys AS k SET signs_until = v_from, retires_at = v_from + interval '3660 seconds' WHERE k.id = v_before.id;
  INSERT INTO sts.zone_keys (id, zone_id, version, public_jwk, envelope, signs_from)
  VALUES (p_kid, p_zone, v_newest + 1, p_public_jwk, p_envelope, v_from);
  PERFORM sts.write_evidence(p_zone, 'key.rotated', jsonb_build_object(
    'kid', p_kid, 'version', v_newest + 1, 'signs_from', v_from, 'previous_kid', v_before.id,
    'previous_retires_at', v_from + interval '3660 seconds', 'reason', p_reason, 'retire_previous', false));
  RETURN QUERY SELECT a.o_incarnation, a.o_number FROM sts.announce_zone_keys(p_zone, p_kid) AS a;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.rotate_zone_key(text, text, jsonb, bytea, int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.rotate_zone_key(text, text, jsonb, bytea, int, text) TO caracal_api;

-- A new key signs at once; every other one is retired, its private part erased, and all it ever signed refused. Returns the
-- position of caracal.keys.invalidate, the number of the last anchor, and the keys retired. Call it last.
CREATE FUNCTION sts_pub.replace_zone_keys(p_zone text, p_kid text, p_public_jwk jsonb, p_envelope bytea, p_reason text)
RETURNS TABLE (incarnation text, number bigint, revocation bigint, retired text[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz;
  v_newest int;
  v_key record;
  v_kids text[];
BEGIN
  SELECT l.newest INTO v_newest FROM sts_pub.lock_zone_keys(p_zone) AS l;
  v_now := clock_timestamp();
  FOR v_key IN
    UPDATE sts.zone_keys AS k
    SET signs_from = least(k.signs_from, v_now), signs_until = least(k.signs_until, v_now), retires_at = v_now,
        envelope = NULL, told_retired = true
    WHERE k.zone_id = p_zone AND (k.retires_at IS NULL OR k.retires_at > v_now)
    RETURNING k.id, k.version
  LOOP
    v_kids := v_kids || v_key.id::text;
    PERFORM sts.write_evidence(p_zone, 'key.retired', jsonb_build_object(
      'kid', v_key.id, 'version', v_key.version, 'reason', p_reason, 'leaked', true, 'replaced_by', p_kid));
  END LOOP;
  IF v_kids IS NULL THEN
    RAISE EXCEPTION 'the zone has no key to replace' USING ERRCODE = 'no_data_found';
  END IF;
  INSERT INTO sts.zone_keys (id, zone_id, version, public_jwk, envelope, signs_from)
  VALUES (p_kid, p_zone, v_newest + 1, p_public_jwk, p_envelope, v_now);
  PERFORM sts.write_evidence(p_zone, 'key.rotated', jsonb_build_object(
    'kid', p_kid, 'version', v_newest + 1, 'signs_from', v_now, 'reason', p_reason, 'retire_previous', true,
    'retired', to_jsonb(v_kids)));
  SELECT a.o_incarnation, a.o_number INTO incarnation, number FROM sts.announce_zone_keys(p_zone, p_kid) AS a;
  revocation := sts_pub.revoke(
    p_zone,
    (SELECT jsonb_agg(jsonb_build_object('kind', 'zone_key', 'anchor', kid)) FROM unnest(v_kids) AS kid),
    p_reason);
  retired := v_kids;
  RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.replace_zone_keys(text, text, jsonb, bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.replace_zone_keys(text, text, jsonb, bytea, text) TO caracal_api;

-- Revokes every anchor of [{kind, anchor}] in the transaction's zone and returns the last number. Call it last.
CREATE OR REPLACE FUNCTION sts_pub.revoke(p_zone text, p_anchors jsonb, p_reason text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_count int;
  v_last bigint;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  IF p_anchors IS NULL OR jsonb_typeof(p_anchors) <> 'array' OR jsonb_array_length(p_anchors) NOT BETWEEN 1 AND 100000 THEN
    RAISE EXCEPTION 'anchors must be an array of 1 to 100000' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_count := jsonb_array_length(p_anchors);
  -- It would refuse what the key signs from now on, too.
  IF p_anchors @> '[{"kind": "zone_key"}]' AND EXISTS (
    SELECT FROM sts.zone_keys AS k
    WHERE k.zone_id = p_zone AND (k.retires_at IS NULL OR k.retires_at > clock_timestamp())
      AND p_anchors @> jsonb_build_array(jsonb_build_object('kind', 'zone_key', 'anchor', k.id::text))) THEN
    RAISE EXCEPTION 'a zone key in use is replaced, not revoked' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- The evidence first, so that the head is locked as briefly as can be.
  PERFORM sts.write_evidence(p_zone, 'revocation.written', jsonb_build_object(
    'reason', p_reason,
    'anchor_count', v_count,
    'anchors', jsonb_path_query_array(p_anchors, '$[0 to 99]')));

  UPDATE sts.stream_heads AS h SET head = h.head + v_count
  WHERE h.stream = 'caracal.sessions.revoke' RETURNING h.head INTO v_last;
  INSERT INTO sts.revocations (number, zone_id, kind, anchor, reason)
  SELECT v_last - v_count + a.position, p_zone, a.entry ->> 'kind', a.entry ->> 'anchor', p_reason
  FROM jsonb_array_elements(p_anchors) WITH ORDINALITY AS a (entry, position);
  RETURN v_last;
END
$$;

-- True when the mandate must be refused: one of its ids is an anchor with a number above its `rev`, it was signed by a retired
-- key, or its `rev` is one that nobody can have applied.
CREATE OR REPLACE FUNCTION sts_pub.refuses(p_zone text, p_rev bigint, p_ids text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
  PERFORM caracal.require_zone(p_zone);
  RETURN EXISTS (
      SELECT FROM sts.revocations AS r
      WHERE r.zone_id = p_zone AND r.anchor = ANY (p_ids) AND (r.number > p_rev OR r.kind = 'zone_key'))
    OR p_rev > (SELECT h.head FROM sts.stream_heads AS h WHERE h.stream = 'caracal.sessions.revoke')
    OR EXISTS (
      SELECT FROM sts.zone_keys AS k
      WHERE k.id = ANY (p_ids) AND k.zone_id = p_zone AND k.retires_at <= clock_timestamp());
END
$$;

-- Looks after keys whose time is over, in all zones: erases private parts that sign no more, and tells the ledger and every
-- cache of keys that left JWKS. Tells how many rows it changed; the STS's leader calls it until that is none.
CREATE FUNCTION sts.settle_ended_keys(p_limit int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_erased int;
  v_retired int := 0;
  v_key record;
BEGIN
  UPDATE sts.zone_keys AS k SET envelope = NULL
  WHERE k.id IN (
    SELECT e.id FROM sts.zone_keys AS e
    WHERE e.signs_until < clock_timestamp() - interval '1 minute' AND e.envelope IS NOT NULL
    ORDER BY e.signs_until LIMIT p_limit FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS v_erased = ROW_COUNT;
  FOR v_key IN
    UPDATE sts.zone_keys AS k SET told_retired = true
    WHERE k.id IN (
      SELECT e.id FROM sts.zone_keys AS e
      WHERE e.retires_at <= clock_timestamp() AND NOT e.told_retired
      ORDER BY e.retires_at LIMIT p_limit FOR UPDATE SKIP LOCKED)
    RETURNING k.id, k.zone_id, k.version
  LOOP
    v_retired := v_retired + 1;
    PERFORM sts.write_evidence(v_key.zone_id, 'key.retired', jsonb_build_object(
      'kid', v_key.id, 'version', v_key.version, 'reason', 'its last mandate has expired', 'leaked', false));
    PERFORM sts.announce_zone_keys(v_key.zone_id, 'retired:' || v_key.id);
  END LOOP;
  RETURN v_erased + v_retired;
END
$$;
REVOKE ALL ON FUNCTION sts.settle_ended_keys(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.settle_ended_keys(int) TO caracal_sts;

-- Deletes session records that nothing alive can name: a mandate outlives its record by nothing (3,600 s at most, and a minute
-- of leeway). A record that continues another is what a session started under it finds its root by, and sessions live for
-- days; it stays for thirty.
CREATE FUNCTION sts.purge_session_records(p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH purged AS (
    DELETE FROM sts.session_records AS s
    WHERE s.id IN (
      SELECT e.id FROM sts.session_records AS e
      WHERE e.expires_at < clock_timestamp() - interval '3660 seconds'
        AND (e.parent_id IS NULL OR e.expires_at < clock_timestamp() - interval '30 days')
      ORDER BY e.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED)
    RETURNING 1
  )
  SELECT count(*)::int FROM purged;
END;
REVOKE ALL ON FUNCTION sts.purge_session_records(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.purge_session_records(int) TO caracal_sts;

-- Replaces the envelope of a provider's secret by one of the same secret under another key, if it is still the one that was
-- opened. False when it was changed or deleted meanwhile.
CREATE FUNCTION api_pub.reseal_provider_secret(p_zone text, p_row_id text, p_before bytea, p_after bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_count int;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  UPDATE api.provider_secrets AS s SET envelope = p_after
  WHERE s.zone_id = p_zone AND s.row_id = p_row_id AND s.envelope = p_before;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count > 0;
END
$$;
REVOKE ALL ON FUNCTION api_pub.reseal_provider_secret(text, text, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_pub.reseal_provider_secret(text, text, bytea, bytea) TO caracal_sts;
