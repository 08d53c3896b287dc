-- The outbox of sts, api and coordinator: events written in the transaction that causes them, and their relay.
--
-- Two kinds of rows live in <service>.outbox.
--   Numbered rows (`number` is set) belong to an invalidation stream. The writing transaction takes the next number from the
--   stream's locked row in <service>.stream_heads as its last statement, so number order is commit order. One leader per
--   service publishes them in number order, for ever: they never die. How far it came stands in <service>.stream_progress,
--   apart from the head so that publishing never waits for a writer.
--   Other rows are claimed by any replica for a short lease, published in one pipeline and settled in one statement. Rows with
--   the same order_key leave in the order they were written: a row waits while an earlier one of its key is claimed or held
--   back. Rows of the ledger's stream, each with a key of its own, get their producer_seq, without gaps, in the claiming
--   transaction.
--
-- Who may do what. A service INSERTs, for the zone its transaction is bound to, and reads that zone's rows; the loader reads
-- all. Everything that crosses zones is done by the functions below, which run as the owner under the policy `relay`, made for
-- the owner on these tables alone. No role has UPDATE or DELETE on an outbox.
--
-- Order of locks, everywhere: rows of the thing that changes; then heads of coordinator, api, sts; within a service by
-- stream name; caracal.sessions.revoke is the last of all.
--
-- The three services' objects are the same by construction, which is why they are made in a loop.

DO $migration$
DECLARE
  v_service text;
BEGIN
  FOREACH v_service IN ARRAY ARRAY['sts', 'api', 'coordinator'] LOOP
    -- In the text below, SERVICE stands for the schema's name.
    EXECUTE replace($objects$

CREATE TABLE SERVICE.stream_heads (
  stream       text PRIMARY KEY CHECK (stream LIKE 'caracal.%'),
  -- Changes when numbering starts anew, so that a reader can tell a new stream from an old one.
  incarnation  text NOT NULL DEFAULT gen_random_uuid()::text,
  -- The highest number given.
  head         bigint NOT NULL DEFAULT 0 CHECK (head >= 0)
);

CREATE TABLE SERVICE.stream_progress (
  stream     text PRIMARY KEY REFERENCES SERVICE.stream_heads,
  -- Every number up to this one is in Redis.
  published  bigint NOT NULL DEFAULT 0 CHECK (published >= 0)
);

CREATE TABLE SERVICE.outbox (
  id             caracal.row_id PRIMARY KEY,
  -- The order of writing within a key.
  ordinal        bigint GENERATED ALWAYS AS IDENTITY,
  zone_id        caracal.row_id NOT NULL,
  stream         text NOT NULL CHECK (stream LIKE 'caracal.%'),
  order_key      text NOT NULL CHECK (char_length(order_key) BETWEEN 1 AND 512),
  dedupe_key     text NOT NULL UNIQUE CHECK (char_length(dedupe_key) BETWEEN 1 AND 512 AND dedupe_key !~ '[[:cntrl:]]'),
  number         bigint CHECK (number > 0),
  payload        jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
  traceparent    text CHECK (char_length(traceparent) <= 128 AND traceparent !~ '[[:cntrl:]]'),
  occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  producer_seq   bigint CHECK (producer_seq > 0),
  -- Entries that Redis answered and refused; an unreachable Redis counts nothing.
  attempts       int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  available_at   timestamptz,
  claim          text,
  claimed_until  timestamptz,
  published_at   timestamptz,
  dead_at        timestamptz,
  last_error     text CHECK (char_length(last_error) <= 512),
  CHECK (number IS NULL OR (dead_at IS NULL AND claim IS NULL)),
  CHECK (published_at IS NULL OR dead_at IS NULL)
);
CREATE UNIQUE INDEX outbox_numbered ON SERVICE.outbox (stream, number) WHERE number IS NOT NULL;
CREATE INDEX outbox_pending ON SERVICE.outbox (ordinal)
  WHERE number IS NULL AND published_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_held ON SERVICE.outbox (stream, order_key, ordinal)
  WHERE number IS NULL AND published_at IS NULL AND dead_at IS NULL AND (claim IS NOT NULL OR attempts > 0);
CREATE INDEX outbox_dead ON SERVICE.outbox (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX outbox_published ON SERVICE.outbox (published_at) WHERE published_at IS NOT NULL;

CALL caracal.bind_to_zone('SERVICE.outbox');
CREATE POLICY relay ON SERVICE.outbox TO caracal_owner USING (true);

-- The last producer_seq given to a row of the ledger's stream; its lock also keeps claims one after another.
CREATE TABLE SERVICE.outbox_counter (
  singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  producer_seq  bigint NOT NULL DEFAULT 0 CHECK (producer_seq >= 0)
);
INSERT INTO SERVICE.outbox_counter DEFAULT VALUES;

-- Wakes the relay when the writing transaction commits. Several rows of one transaction wake it once.
CREATE FUNCTION SERVICE.outbox_wake() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_notify('caracal_outbox_SERVICE', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER wake AFTER INSERT ON SERVICE.outbox FOR EACH STATEMENT EXECUTE FUNCTION SERVICE.outbox_wake();

-- Claims up to p_limit rows for p_lease_ms. p_claim names the claimer, so that a lease that ran out settles nothing that
-- another has claimed since.
CREATE FUNCTION SERVICE.outbox_claim(p_claim text, p_limit int, p_lease_ms int)
RETURNS TABLE (id text, zone_id text, stream text, dedupe_key text, payload jsonb, traceparent text,
               occurred_at timestamptz, order_key text, producer_seq bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_last bigint;
  v_now timestamptz := clock_timestamp();
  v_ids text[];
BEGIN
  SELECT c.producer_seq INTO v_last FROM SERVICE.outbox_counter AS c FOR UPDATE;
  WITH held AS MATERIALIZED (
    SELECT o.stream, o.order_key, min(o.ordinal) AS ordinal
    FROM SERVICE.outbox AS o
    WHERE o.number IS NULL AND o.published_at IS NULL AND o.dead_at IS NULL AND (o.claim IS NOT NULL OR o.attempts > 0)
      AND (o.claimed_until > v_now OR o.available_at > v_now)
    GROUP BY o.stream, o.order_key
  ), free AS (
    SELECT o.id, o.ordinal
    FROM SERVICE.outbox AS o
    WHERE o.number IS NULL AND o.published_at IS NULL AND o.dead_at IS NULL
      AND NOT EXISTS (
        SELECT FROM held AS h
        WHERE h.stream = o.stream AND h.order_key = o.order_key AND h.ordinal <= o.ordinal)
    ORDER BY o.ordinal
    LIMIT least(greatest(p_limit, 1), 1000)
    FOR UPDATE SKIP LOCKED
  )
  SELECT array_agg(f.id ORDER BY f.ordinal) INTO v_ids FROM free AS f;
  IF v_ids IS NULL THEN
    RETURN;
  END IF;

  WITH batch AS (
    SELECT o.id, v_last + row_number() OVER (ORDER BY o.ordinal) AS seq
    FROM SERVICE.outbox AS o
    WHERE o.id = ANY (v_ids) AND o.stream = 'caracal.audit.events' AND o.producer_seq IS NULL
  ), claimed AS (
    UPDATE SERVICE.outbox AS o
    SET claim = p_claim,
        claimed_until = v_now + make_interval(secs => p_lease_ms / 1000.0),
        producer_seq = coalesce(o.producer_seq, b.seq)
    FROM unnest(v_ids) AS u (id) LEFT JOIN batch AS b ON b.id = u.id
    WHERE o.id = u.id
    RETURNING o.producer_seq
  )
  UPDATE SERVICE.outbox_counter AS c SET producer_seq = g.highest
  FROM (SELECT max(claimed.producer_seq) AS highest FROM claimed) AS g
  WHERE g.highest > c.producer_seq;

  RETURN QUERY
    SELECT o.id::text, o.zone_id::text, o.stream, o.dedupe_key, o.payload, o.traceparent, o.occurred_at, o.order_key,
           o.producer_seq
    FROM SERVICE.outbox AS o WHERE o.id = ANY (v_ids) ORDER BY o.ordinal;
END
$$;

-- Settles a claim in one statement. Published rows are done whoever held them. Refused rows count an attempt and wait
-- p_retry_ms, or die at p_max_attempts. Released rows (Redis was away) are free at once and have used no attempt.
CREATE FUNCTION SERVICE.outbox_settle(
  p_claim text, p_published text[], p_refused text[], p_errors text[], p_released text[], p_retry_ms int, p_max_attempts int)
RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  -- By key alone, so that the cost is that of the batch and not of the backlog, whatever the planner believes of it.
  WITH batch AS MATERIALIZED (
    SELECT o.id, o.number, o.claim, o.published_at, o.dead_at
    FROM SERVICE.outbox AS o WHERE o.id = ANY (p_published || p_refused || p_released) FOR UPDATE
  ), settled AS (
    UPDATE SERVICE.outbox AS o SET
      claim = NULL,
      claimed_until = NULL,
      published_at = CASE WHEN o.id = ANY (p_published) THEN clock_timestamp() END,
      attempts = o.attempts + CASE WHEN o.id = ANY (p_refused) THEN 1 ELSE 0 END,
      available_at = CASE WHEN o.id = ANY (p_refused)
        THEN clock_timestamp() + make_interval(secs => p_retry_ms / 1000.0) END,
      dead_at = CASE WHEN o.id = ANY (p_refused) AND o.attempts + 1 >= p_max_attempts THEN clock_timestamp() END,
      last_error = coalesce(left(p_errors[array_position(p_refused, o.id::text)], 512), o.last_error)
    FROM batch AS b
    WHERE o.id = b.id AND b.number IS NULL AND b.published_at IS NULL AND b.dead_at IS NULL
      AND (b.claim = p_claim OR b.id = ANY (p_published))
    RETURNING 1
  )
  SELECT count(*)::int FROM settled;
END;

-- Gives a dead row another life.
CREATE FUNCTION SERVICE.outbox_requeue(p_id text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH alive AS (
    UPDATE SERVICE.outbox AS o SET dead_at = NULL, attempts = 0, available_at = NULL, claim = NULL, claimed_until = NULL
    WHERE o.id = p_id AND o.dead_at IS NOT NULL RETURNING 1
  )
  SELECT EXISTS (SELECT FROM alive);
END;

-- Deletes up to p_limit rows that were published longer than p_age ago.
CREATE FUNCTION SERVICE.outbox_purge(p_age interval, p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH gone AS (
    DELETE FROM SERVICE.outbox AS o
    WHERE o.id IN (SELECT p.id FROM SERVICE.outbox AS p WHERE p.published_at < clock_timestamp() - p_age LIMIT p_limit)
    RETURNING 1
  )
  SELECT count(*)::int FROM gone;
END;

-- What waits, what died, how old the oldest waiting row is. Counts stop at 10,000: more is the same alarm.
CREATE FUNCTION SERVICE.outbox_state() RETURNS TABLE (pending int, dead int, oldest_ms bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT
    (SELECT count(*)::int FROM (SELECT FROM SERVICE.outbox AS o
       WHERE o.number IS NULL AND o.published_at IS NULL AND o.dead_at IS NULL LIMIT 10000) AS p),
    (SELECT count(*)::int FROM (SELECT FROM SERVICE.outbox AS o WHERE o.dead_at IS NOT NULL LIMIT 10000) AS d),
    coalesce((SELECT (extract(epoch FROM clock_timestamp() - o.occurred_at) * 1000)::bigint FROM SERVICE.outbox AS o
       WHERE o.number IS NULL AND o.published_at IS NULL AND o.dead_at IS NULL ORDER BY o.ordinal LIMIT 1), 0);
END;

-- The leader's next rows of a numbered stream.
CREATE FUNCTION SERVICE.outbox_numbered(p_stream text, p_limit int)
RETURNS TABLE (id text, zone_id text, dedupe_key text, payload jsonb, traceparent text, occurred_at timestamptz,
               number bigint, incarnation text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT o.id::text, o.zone_id::text, o.dedupe_key, o.payload, o.traceparent, o.occurred_at, o.number, h.incarnation
  FROM SERVICE.stream_progress AS p
  JOIN SERVICE.stream_heads AS h ON h.stream = p.stream
  JOIN SERVICE.outbox AS o ON o.stream = p.stream AND o.number > p.published
  WHERE p.stream = p_stream
  ORDER BY o.number
  LIMIT least(greatest(p_limit, 1), 1000);
END;

-- Everything of a numbered stream up to p_number is in Redis. Never goes back.
CREATE FUNCTION SERVICE.outbox_advance(p_stream text, p_number bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE SERVICE.outbox AS o SET published_at = clock_timestamp()
  WHERE o.stream = p_stream AND o.number <= p_number
    AND o.number > (SELECT p.published FROM SERVICE.stream_progress AS p WHERE p.stream = p_stream)
    AND o.published_at IS NULL;
  UPDATE SERVICE.stream_progress AS p SET published = p_number WHERE p.stream = p_stream AND p.published < p_number;
END;

-- Head, progress and age of the oldest unpublished row of a numbered stream, in one look: the content of a heartbeat.
CREATE FUNCTION SERVICE.outbox_stream_state(p_stream text)
RETURNS TABLE (incarnation text, head bigint, published bigint, unpublished_ms bigint, database_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT h.incarnation, h.head, p.published,
    coalesce((SELECT greatest(0, (extract(epoch FROM clock_timestamp() - o.occurred_at) * 1000)::bigint)
       FROM SERVICE.outbox AS o WHERE o.stream = p_stream AND o.number = p.published + 1), 0),
    clock_timestamp()
  FROM SERVICE.stream_heads AS h JOIN SERVICE.stream_progress AS p ON p.stream = h.stream
  WHERE h.stream = p_stream;
END;

REVOKE ALL ON FUNCTION SERVICE.outbox_wake() FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_claim(text, int, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_settle(text, text[], text[], text[], text[], int, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_requeue(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_purge(interval, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_state() FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_numbered(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_advance(text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION SERVICE.outbox_stream_state(text) FROM PUBLIC;

GRANT SELECT, INSERT ON SERVICE.outbox TO caracal_SERVICE;
GRANT SELECT, UPDATE (head) ON SERVICE.stream_heads TO caracal_SERVICE;
GRANT SELECT ON SERVICE.stream_progress TO caracal_SERVICE;
GRANT SELECT ON SERVICE.outbox TO caracal_SERVICE_loader;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_claim(text, int, int) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_settle(text, text[], text[], text[], text[], int, int) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_requeue(text) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_purge(interval, int) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_state() TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_numbered(text, int) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_advance(text, bigint) TO caracal_SERVICE;
GRANT EXECUTE ON FUNCTION SERVICE.outbox_stream_state(text) TO caracal_SERVICE;

-- Published: how far the service's numbered streams are, for caches that check while Redis is away.
CREATE FUNCTION SERVICE_pub.stream_heads()
RETURNS TABLE (stream text, incarnation text, head bigint, database_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT h.stream, h.incarnation, h.head, clock_timestamp() FROM SERVICE.stream_heads AS h ORDER BY h.stream;
END;
REVOKE ALL ON FUNCTION SERVICE_pub.stream_heads() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION SERVICE_pub.stream_heads() TO caracal_sts, caracal_gateway;

    $objects$, 'SERVICE', v_service);
  END LOOP;
END
$migration$;

INSERT INTO sts.stream_heads (stream) VALUES ('caracal.keys.invalidate'), ('caracal.sessions.revoke');
INSERT INTO api.stream_heads (stream) VALUES ('caracal.policy.invalidate'), ('caracal.resources.invalidate');
INSERT INTO coordinator.stream_heads (stream) VALUES ('caracal.delegations.invalidate');
INSERT INTO sts.stream_progress (stream) SELECT stream FROM sts.stream_heads;
INSERT INTO api.stream_progress (stream) SELECT stream FROM api.stream_heads;
INSERT INTO coordinator.stream_progress (stream) SELECT stream FROM coordinator.stream_heads;
