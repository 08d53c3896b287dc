-- An enforcement point that has drained leaves the membership, so that no barrier waits for a process that serves nothing.
--
-- The leader gives up a point only after a full staleness limit of silence, because a silent process may still serve. One that
-- leaves says that it does not: it calls this after its port has closed and its lease has been given up.
--
-- Published.
--   leave_point   gateway, sts

CREATE FUNCTION sts_pub.leave_point(p_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE sts.enforcement_points AS e SET gone_at = clock_timestamp() WHERE e.id = p_id AND e.gone_at IS NULL;
  IF FOUND THEN
    PERFORM pg_notify('caracal_points', '');
  END IF;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.leave_point(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.leave_point(text) TO caracal_gateway, caracal_sts;
