-- Functions that look a few rows up in tables that grow keep reading by index.
--
-- A plan is kept for as long as a connection lives. One that was made while its table was nearly empty reads the whole table,
-- and one that does not know its limit walks a whole index to be spared a sort: cheap on the day of the installation, dearer
-- with every row. So the next rows of a numbered stream are asked for by the range they are in, which leaves one way to read
-- them, and reading whole tables is ruled out for what runs all the time.

DO $migration$
DECLARE
  v_service text;
  v_function text;
BEGIN
  FOREACH v_service IN ARRAY ARRAY['sts', 'api', 'coordinator'] LOOP
    EXECUTE replace($objects$

CREATE OR REPLACE FUNCTION SERVICE.outbox_numbered(p_stream text, p_limit int)
RETURNS TABLE (id text, zone_id text, dedupe_key text, payload jsonb, traceparent text, occurred_at timestamptz,
               number bigint, incarnation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
BEGIN ATOMIC
  SELECT o.id::text, o.zone_id::text, o.dedupe_key, o.payload, o.traceparent, o.occurred_at, o.number,
         (SELECT h.incarnation FROM SERVICE.stream_heads AS h WHERE h.stream = p_stream)
  FROM SERVICE.outbox AS o
  WHERE o.stream = p_stream
    AND o.number > (SELECT p.published FROM SERVICE.stream_progress AS p WHERE p.stream = p_stream)
  ORDER BY o.number
  LIMIT least(greatest(p_limit, 1), 1000);
END;

$objects$, 'SERVICE', v_service);
    FOREACH v_function IN ARRAY ARRAY[
      'outbox_claim(text, int, int)',
      'outbox_settle(text, text[], text[], text[], text[], int, int)',
      'outbox_advance(text, bigint)',
      'outbox_stream_state(text)'
    ] LOOP
      EXECUTE format('ALTER FUNCTION %I.%s SET enable_seqscan = off', v_service, v_function);
    END LOOP;
  END LOOP;
END
$migration$;

CREATE OR REPLACE FUNCTION sts.revocations_unpublished(p_limit int)
RETURNS TABLE (number bigint, zone_id text, kind text, anchor text, reason text, revoked_at timestamptz, incarnation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
BEGIN ATOMIC
  SELECT r.number, r.zone_id::text, r.kind, r.anchor, r.reason, r.revoked_at,
         (SELECT h.incarnation FROM sts.stream_heads AS h WHERE h.stream = 'caracal.sessions.revoke')
  FROM sts.revocations AS r
  WHERE r.number > (SELECT p.published FROM sts.stream_progress AS p WHERE p.stream = 'caracal.sessions.revoke')
  ORDER BY r.number
  LIMIT least(greatest(p_limit, 1), 1000);
END;

ALTER FUNCTION sts_pub.refuses(text, bigint, text[]) SET enable_seqscan = off;
ALTER FUNCTION sts_pub.revocation_head() SET enable_seqscan = off;
