-- Revocation: one writer, one order, and the barrier.
--
-- sts_pub.revoke is the only way to revoke. It is the last call of the transaction that ends the thing. It locks the one head
-- row of caracal.sessions.revoke, gives consecutive numbers, and keeps the lock until commit: number order is commit order,
-- and a number is never given back unless the transaction is. An anchor numbered N refuses matching mandates whose `rev` is
-- below N: it kills what was issued before it, and never an id for good.
--
-- sts.revocations is itself the outbox of caracal.sessions.revoke; the STS's relay reads it and publishes in number order.
-- No role has INSERT, UPDATE or DELETE on it. An anchor older than 3,660 s (the longest mandate plus 60 s) can refuse nothing
-- that still lives; it leaves snapshots and may be pruned.
--
-- Enforcement points register before their first snapshot, renew every second with the number they have applied, and are
-- marked gone by the STS leader when they stop. Renewing a row that is gone fails. The barrier counts rows that are not gone.
--
-- Published.
--   revoke                 api, coordinator, sts        refuses               coordinator
--   revocation_head        everyone who waits or tails  all_revocations_after loaders of gateway and sts
--   register_point, renew_point   gateway, sts          barrier               api, coordinator, sts

CREATE TABLE sts.revocations (
  number      bigint PRIMARY KEY CHECK (number > 0),
  zone_id     caracal.row_id NOT NULL,
  kind        text NOT NULL CHECK (kind IN (
                'session', 'agent_session', 'edge', 'jti', 'application', 'subject', 'zone_key', 'zone')),
  anchor      text NOT NULL CHECK (char_length(anchor) BETWEEN 1 AND 512),
  reason      text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 256),
  revoked_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocations_anchor ON sts.revocations (zone_id, anchor, number);
CREATE INDEX revocations_age ON sts.revocations (revoked_at);
CALL caracal.bind_to_zone('sts.revocations');
CREATE POLICY prune ON sts.revocations FOR DELETE TO caracal_owner USING (revoked_at < clock_timestamp() - interval '1 day');
CREATE POLICY relay ON sts.revocations FOR SELECT TO caracal_owner USING (true);

CREATE TABLE sts.enforcement_points (
  -- One per process start.
  id             caracal.text_id PRIMARY KEY,
  service        text NOT NULL CHECK (service IN ('gateway', 'sts')),
  replica        caracal.text_id NOT NULL,
  applied        bigint NOT NULL DEFAULT 0 CHECK (applied >= 0),
  registered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  renewed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  renewals       bigint NOT NULL DEFAULT 0 CHECK (renewals >= 0),
  gone_at        timestamptz
);
CREATE INDEX enforcement_points_live ON sts.enforcement_points (applied) WHERE gone_at IS NULL;

GRANT SELECT ON sts.revocations TO caracal_sts, caracal_sts_loader;
GRANT SELECT, DELETE ON sts.enforcement_points TO caracal_sts;
GRANT UPDATE (gone_at) ON sts.enforcement_points TO caracal_sts;

-- Revokes every anchor of [{kind, anchor}] in the transaction's zone and returns the last number. Call it last.
CREATE FUNCTION sts_pub.revoke(p_zone text, p_anchors jsonb, p_reason text) RETURNS bigint
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
REVOKE ALL ON FUNCTION sts_pub.revoke(text, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.revoke(text, jsonb, text) TO caracal_api, caracal_coordinator, caracal_sts;

-- True when any of the ids is an anchor with a number above p_rev: the mandate must be refused.
CREATE FUNCTION sts_pub.refuses(p_zone text, p_rev bigint, p_ids text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM caracal.require_zone(p_zone);
  RETURN EXISTS (
    SELECT FROM sts.revocations AS r
    WHERE r.zone_id = p_zone AND r.anchor = ANY (p_ids) AND r.number > p_rev);
END
$$;
REVOKE ALL ON FUNCTION sts_pub.refuses(text, bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.refuses(text, bigint, text[]) TO caracal_coordinator;

-- How far revocation is: the highest number given, and the age of the oldest one that is not in Redis yet.
CREATE FUNCTION sts_pub.revocation_head()
RETURNS TABLE (incarnation text, head bigint, database_time timestamptz, unpublished_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT h.incarnation, h.head, clock_timestamp(),
    coalesce((SELECT greatest(0, (extract(epoch FROM clock_timestamp() - r.revoked_at) * 1000)::bigint)
       FROM sts.revocations AS r WHERE r.number = p.published + 1), 0)
  FROM sts.stream_heads AS h JOIN sts.stream_progress AS p ON p.stream = h.stream
  WHERE h.stream = 'caracal.sessions.revoke';
END;
REVOKE ALL ON FUNCTION sts_pub.revocation_head() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.revocation_head() TO caracal_sts, caracal_gateway, caracal_api, caracal_coordinator;
GRANT EXECUTE ON FUNCTION sts_pub.revocation_head() TO caracal_sts_loader, caracal_gateway_loader;

-- Anchors of all zones above a number, oldest first, without those too old to refuse anything. Runs as the STS's loader.
CREATE FUNCTION sts_pub.all_revocations_after(p_number bigint, p_limit int)
RETURNS TABLE (number bigint, zone_id text, kind text, anchor text, reason text, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT r.number, r.zone_id::text, r.kind, r.anchor, r.reason, r.revoked_at
  FROM sts.revocations AS r
  WHERE r.number > p_number AND r.revoked_at > clock_timestamp() - interval '3660 seconds'
  ORDER BY r.number
  LIMIT least(greatest(p_limit, 1), 100000);
END;
REVOKE ALL ON FUNCTION sts_pub.all_revocations_after(bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.all_revocations_after(bigint, int) TO caracal_gateway_loader, caracal_sts_loader;
GRANT CREATE ON SCHEMA sts_pub TO caracal_sts_loader;
ALTER FUNCTION sts_pub.all_revocations_after(bigint, int) OWNER TO caracal_sts_loader;
REVOKE CREATE ON SCHEMA sts_pub FROM caracal_sts_loader;

-- Adds an enforcement point. Its first snapshot comes after.
CREATE FUNCTION sts_pub.register_point(p_id text, p_service text, p_replica text) RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO sts.enforcement_points (id, service, replica) VALUES (p_id, p_service, p_replica)
  RETURNING clock_timestamp();
END;
REVOKE ALL ON FUNCTION sts_pub.register_point(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.register_point(text, text, text) TO caracal_gateway, caracal_sts;

-- Renews with the number applied. Not renewed means the row is gone and the process must register anew. Whoever waits at the
-- barrier is woken when the number has grown.
CREATE FUNCTION sts_pub.renew_point(p_id text, p_applied bigint)
RETURNS TABLE (renewed boolean, database_time timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_before bigint;
BEGIN
  SELECT e.applied INTO v_before FROM sts.enforcement_points AS e WHERE e.id = p_id AND e.gone_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT false, clock_timestamp();
    RETURN;
  END IF;
  UPDATE sts.enforcement_points AS e
  SET applied = greatest(e.applied, p_applied), renewed_at = clock_timestamp(), renewals = e.renewals + 1
  WHERE e.id = p_id;
  IF p_applied > v_before THEN
    PERFORM pg_notify('caracal_points', '');
  END IF;
  RETURN QUERY SELECT true, clock_timestamp();
END
$$;
REVOKE ALL ON FUNCTION sts_pub.renew_point(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.renew_point(text, bigint) TO caracal_gateway, caracal_sts;

-- How many live points there are, how many have not applied p_number (and which), how many went away since it was written.
CREATE FUNCTION sts_pub.barrier(p_number bigint) RETURNS TABLE (points int, waiting int, gone int, missing text[])
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT
    count(*) FILTER (WHERE e.gone_at IS NULL)::int,
    count(*) FILTER (WHERE e.gone_at IS NULL AND e.applied < p_number)::int,
    count(*) FILTER (WHERE e.gone_at >= (SELECT r.revoked_at FROM sts.revocations AS r WHERE r.number = p_number))::int,
    coalesce(array_agg(e.service || '/' || e.replica ORDER BY e.service, e.replica)
      FILTER (WHERE e.gone_at IS NULL AND e.applied < p_number), '{}')
  FROM sts.enforcement_points AS e;
END;
REVOKE ALL ON FUNCTION sts_pub.barrier(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.barrier(bigint) TO caracal_api, caracal_coordinator, caracal_sts;

-- The relay's look at sts.revocations, the same two questions that other numbered streams answer from their outbox.
CREATE FUNCTION sts.revocations_unpublished(p_limit int)
RETURNS TABLE (number bigint, zone_id text, kind text, anchor text, reason text, revoked_at timestamptz, incarnation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT r.number, r.zone_id::text, r.kind, r.anchor, r.reason, r.revoked_at, h.incarnation
  FROM sts.stream_progress AS p
  JOIN sts.stream_heads AS h ON h.stream = p.stream
  JOIN sts.revocations AS r ON r.number > p.published
  WHERE p.stream = 'caracal.sessions.revoke'
  ORDER BY r.number
  LIMIT least(greatest(p_limit, 1), 1000);
END;
REVOKE ALL ON FUNCTION sts.revocations_unpublished(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.revocations_unpublished(int) TO caracal_sts;

-- Deletes up to p_limit anchors that were written more than a day ago and are in Redis.
CREATE FUNCTION sts.prune_revocations(p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH pruned AS (
    DELETE FROM sts.revocations AS r
    WHERE r.number IN (
      SELECT o.number FROM sts.revocations AS o
      WHERE o.revoked_at < clock_timestamp() - interval '1 day'
        AND o.number <= (SELECT p.published FROM sts.stream_progress AS p WHERE p.stream = 'caracal.sessions.revoke')
      ORDER BY o.number LIMIT p_limit)
    RETURNING 1
  )
  SELECT count(*)::int FROM pruned;
END;
REVOKE ALL ON FUNCTION sts.prune_revocations(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.prune_revocations(int) TO caracal_sts;
