-- The life of a policy-set version: how far an activation has come, and the version that is only watched.
--
-- Enforcement points report, with each renewal, which number of each invalidation stream they have applied, as
-- {stream: {incarnation, applied}}. A stream is propagated up to a number when every point that is not gone has applied it,
-- under the incarnation that gave the number: numbers of another incarnation compare with nothing. A point that has said
-- nothing of a stream counts as waiting.
--
-- api.policy_changes keeps the number of the last change of what each zone enforces or watches, written in the transaction
-- that took the number, whose head is still locked.
--
-- At most one set version per zone is shadow: evaluated beside the active one, never enforced. It may be of any set of the zone
-- that lives.
--
-- Published.
--   report_point             gateway, sts
--   propagation              api, coordinator, sts
--   shadow_policy_sets       sts

ALTER TABLE sts.enforcement_points
  ADD COLUMN positions jsonb NOT NULL DEFAULT '{}'
    CHECK (jsonb_typeof(positions) = 'object' AND octet_length(positions::text) <= 4096);

-- Renews like renew_point, and says how far the other streams have come. Waiters are woken when anything moved.
CREATE FUNCTION sts_pub.report_point(p_id text, p_applied bigint, p_positions jsonb)
RETURNS TABLE (renewed boolean, database_time timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_applied bigint;
  v_positions jsonb;
BEGIN
  SELECT e.applied, e.positions INTO v_applied, v_positions
  FROM sts.enforcement_points AS e WHERE e.id = p_id AND e.gone_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT false, clock_timestamp();
    RETURN;
  END IF;
  UPDATE sts.enforcement_points AS e
  SET applied = greatest(e.applied, p_applied), positions = p_positions, renewed_at = clock_timestamp(),
      renewals = e.renewals + 1
  WHERE e.id = p_id;
  IF p_applied > v_applied OR p_positions <> v_positions THEN
    PERFORM pg_notify('caracal_points', '');
  END IF;
  RETURN QUERY SELECT true, clock_timestamp();
END
$$;
REVOKE ALL ON FUNCTION sts_pub.report_point(text, bigint, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.report_point(text, bigint, jsonb) TO caracal_gateway, caracal_sts;

-- How many live points there are, and which have not applied p_number of p_stream as p_incarnation numbers it.
CREATE FUNCTION sts_pub.propagation(p_stream text, p_incarnation text, p_number bigint)
RETURNS TABLE (points int, waiting int, missing text[])
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT count(*)::int, (count(*) FILTER (WHERE NOT p.there))::int,
    coalesce(array_agg(p.name ORDER BY p.name) FILTER (WHERE NOT p.there), '{}')
  FROM (
    SELECT e.service || '/' || e.replica AS name,
      p_number = 0 OR coalesce(e.positions -> p_stream ->> 'incarnation' = p_incarnation
        AND (e.positions -> p_stream ->> 'applied')::bigint >= p_number, false) AS there
    FROM sts.enforcement_points AS e
    WHERE e.gone_at IS NULL
  ) AS p;
END;
REVOKE ALL ON FUNCTION sts_pub.propagation(text, text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.propagation(text, text, bigint) TO caracal_api, caracal_coordinator, caracal_sts;

CREATE TABLE api.policy_changes (
  zone_id      caracal.row_id PRIMARY KEY,
  number       bigint NOT NULL CHECK (number > 0),
  incarnation  text NOT NULL CHECK (char_length(incarnation) BETWEEN 1 AND 128),
  changed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL caracal.bind_to_zone('api.policy_changes');
GRANT SELECT, INSERT ON api.policy_changes TO caracal_api;
GRANT UPDATE (number, incarnation, changed_at) ON api.policy_changes TO caracal_api;

ALTER TABLE api.policy_set_versions
  ADD COLUMN shadow boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT policy_set_versions_one_role CHECK (NOT (active AND shadow));
CREATE UNIQUE INDEX policy_set_versions_shadow ON api.policy_set_versions (zone_id) WHERE shadow;
DROP TRIGGER immutable ON api.policy_set_versions;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON api.policy_set_versions
  FOR EACH ROW EXECUTE FUNCTION api.keep_immutable('active', 'activated_at', 'shadow');
GRANT UPDATE (shadow) ON api.policy_set_versions TO caracal_api;

-- What a zone watches beside what it enforces, in the shape of api_pub.active_policy_sets.
CREATE VIEW api_pub.shadow_policy_sets WITH (security_barrier) AS
  SELECT v.zone_id, v.policy_set_id, v.id AS policy_set_version_id, v.version, v.digest, v.params,
    (SELECT jsonb_agg(jsonb_build_object(
              'policy_version_id', pv.id, 'name', p.name, 'content', pv.content, 'content_sha256', pv.content_sha256)
              ORDER BY m.position)
     FROM jsonb_array_elements(v.manifest) WITH ORDINALITY AS m (entry, position)
     JOIN api.policy_versions AS pv ON pv.id = m.entry ->> 'policy_version_id' AND pv.zone_id = v.zone_id
     JOIN api.policies AS p ON p.id = pv.policy_id AND p.zone_id = v.zone_id) AS policies
  FROM api.policy_set_versions AS v
  JOIN api.policy_sets AS s ON s.id = v.policy_set_id AND s.zone_id = v.zone_id
  WHERE v.shadow AND s.archived_at IS NULL;
REVOKE ALL ON api_pub.shadow_policy_sets FROM PUBLIC;
GRANT SELECT ON api_pub.shadow_policy_sets TO caracal_sts;
