-- What the ledger does not have yet is published again when Redis has lost its memory.
--
-- Redis answering is not the ledger having it: a Redis that is flushed, fails over to an older copy or dies before its log is
-- written forgets entries it has taken. Rows of the ledger's stream are therefore kept until the ledger's watermark of this
-- producer covers them, however old, and those above it can be made to wait for the relay anew. Duplicates are dropped by id.

DO $migration$
DECLARE
  v_service text;
BEGIN
  FOREACH v_service IN ARRAY ARRAY['sts', 'api', 'coordinator'] LOOP
    EXECUTE replace($objects$

-- The highest number of this outbox below which the ledger has everything.
CREATE FUNCTION SERVICE.outbox_watermark() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(max(w.seq), 0) FROM audit_pub.producer_watermarks('SERVICE/outbox') AS w WHERE w.incarnation = 'outbox';
END;

-- Rows that were published and that the ledger does not have wait to be published again. Tells how many.
CREATE FUNCTION SERVICE.outbox_publish_again() RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH lost AS (
    UPDATE SERVICE.outbox AS o SET published_at = NULL
    WHERE o.published_at IS NOT NULL AND o.number IS NULL AND o.producer_seq > SERVICE.outbox_watermark()
    RETURNING 1
  )
  SELECT count(*)::int FROM lost;
END;

-- Deletes up to p_limit rows that were published longer than p_age ago, and never what the ledger does not have.
CREATE OR REPLACE FUNCTION SERVICE.outbox_purge(p_age interval, p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH gone AS (
    DELETE FROM SERVICE.outbox AS o
    WHERE o.id IN (
      SELECT p.id FROM SERVICE.outbox AS p
      WHERE p.published_at < clock_timestamp() - p_age
        AND (p.producer_seq IS NULL OR p.producer_seq <= (SELECT SERVICE.outbox_watermark()))
      LIMIT p_limit)
    RETURNING 1
  )
  SELECT count(*)::int FROM gone;
END;

REVOKE ALL ON FUNCTION SERVICE.outbox_watermark() FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_publish_again() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_publish_again() TO caracal_SERVICE;

    $objects$, 'SERVICE', v_service);
  END LOOP;
END
$migration$;
