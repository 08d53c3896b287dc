-- The ledger's monthly partitions, made ahead of time.
--
-- audit_pub.ensure_partitions(months) makes the partitions of the month before, of this one and of `months` more, in UTC, and
-- returns how many it made. Audit calls it at start and daily; it owns no table and cannot make one itself. An event outside
-- the partitions has an absurd date and goes to the dead letters: there is no default partition for it to hide in.
--
-- A partition is built apart and attached, which takes no lock that readers or writers of the ledger wait for. It gets the
-- same forced policies and no grants: it is reached through audit.events alone.

CREATE FUNCTION audit_pub.ensure_partitions(p_months int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- 'CRCL', and the number of this lock among the owner's.
  v_lock_class CONSTANT int := 1129464652;
  v_lock_partitions CONSTANT int := 2;
  v_month date;
  v_name text;
  v_made int := 0;
BEGIN
  IF p_months NOT BETWEEN 0 AND 24 THEN
    RAISE EXCEPTION 'months must be 0 to 24' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(v_lock_class, v_lock_partitions);
  FOR v_offset IN -1 .. p_months LOOP
    v_month := (date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + make_interval(months => v_offset))::date;
    v_name := to_char(v_month, '"events_y"YYYY"m"MM');
    CONTINUE WHEN to_regclass('audit.' || v_name) IS NOT NULL;
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_name);
    EXECUTE format('CALL caracal.bind_to_zone(%L)', 'audit.' || v_name);
    EXECUTE format('ALTER TABLE audit.events ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', v_name,
      to_char(v_month, 'YYYY-MM-DD') || ' 00:00:00+00',
      to_char(v_month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
    v_made := v_made + 1;
  END LOOP;
  RETURN v_made;
END
$$;
REVOKE ALL ON FUNCTION audit_pub.ensure_partitions(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_pub.ensure_partitions(int) TO caracal_audit;

-- Three months ahead: an Audit that never ran its daily call would still have a quarter of a year.
SELECT audit_pub.ensure_partitions(3);
