-- The ledger: what happened, chained per zone, append-only.
--
-- audit.events keeps each event once, as the canonical text that was hashed (RFC 8785), beside the columns it is searched by.
-- Audit's role may INSERT and SELECT and nothing else: no role can change or delete an event, and partitions, which the next
-- migration makes, carry no grants of their own. Partitions are by month of occurred_at, so uniqueness of an id across all of
-- them is kept by audit.event_ids. The chain's head is a row that is locked, never found by sorting.
--
-- `position` grows with ingestion and is what exports follow. It comes from a sequence and not from an identity column,
-- because 15 and 16 have none on partitions.
--
-- producer_watermarks says which numbers of a producer's incarnation have been stored, and up to which one nothing is missing.
-- It is written in the ingesting transaction; producers keep their journal until it covers an entry. It names no zone.
--
-- Published. audit_pub.producer_watermarks(producer) to those who produce.

CREATE SEQUENCE audit.event_position AS bigint;

CREATE TABLE audit.events (
  id                    caracal.row_id NOT NULL,
  zone_id               caracal.row_id NOT NULL,
  -- Place in the zone's chain, from 1 without gaps.
  seq                   bigint NOT NULL CHECK (seq > 0),
  event_type            text NOT NULL CHECK (event_type ~ '^[a-z][a-z_]{0,63}(\.[a-z][a-z_]{0,63}){0,3}$'),
  request_id            text CHECK (char_length(request_id) <= 128),
  decision              text CHECK (decision IN ('allow', 'deny', 'partial')),
  evaluation_status     text CHECK (char_length(evaluation_status) <= 128),
  application_id        text CHECK (char_length(application_id) <= 128),
  occurred_at           timestamptz NOT NULL,
  ingested_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  position              bigint NOT NULL DEFAULT nextval('audit.event_position'),
  -- The event as received, in its canonical form: what content_sha256 is the digest of.
  canonical             text NOT NULL,
  content_sha256        caracal.digest NOT NULL,
  -- NULL for the first event of a zone.
  previous_sha256       caracal.digest,
  chain_hmac            caracal.digest NOT NULL,
  chain_key_id          text NOT NULL CHECK (char_length(chain_key_id) BETWEEN 1 AND 64),
  ingest_signature      caracal.digest,
  producer              text NOT NULL CHECK (char_length(producer) BETWEEN 1 AND 64),
  producer_incarnation  text NOT NULL CHECK (char_length(producer_incarnation) BETWEEN 1 AND 128),
  producer_seq          bigint NOT NULL CHECK (producer_seq > 0),
  PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX events_chain ON audit.events (zone_id, seq);
CREATE INDEX events_time ON audit.events (zone_id, occurred_at DESC, id DESC);
CREATE INDEX events_request ON audit.events (zone_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX events_position ON audit.events (position);
CALL caracal.bind_to_zone('audit.events');

CREATE TABLE audit.event_ids (
  id              caracal.row_id PRIMARY KEY,
  zone_id         caracal.row_id NOT NULL,
  content_sha256  caracal.digest NOT NULL,
  occurred_at     timestamptz NOT NULL
);
CALL caracal.bind_to_zone('audit.event_ids');

CREATE TABLE audit.chain_heads (
  zone_id         caracal.row_id PRIMARY KEY,
  seq             bigint NOT NULL CHECK (seq >= 0),
  content_sha256  caracal.digest,
  chain_hmac      caracal.digest,
  CHECK ((seq = 0) = (content_sha256 IS NULL) AND (seq = 0) = (chain_hmac IS NULL))
);
CALL caracal.bind_to_zone('audit.chain_heads');

CREATE TABLE audit.findings (
  id           caracal.row_id PRIMARY KEY,
  zone_id      caracal.row_id NOT NULL,
  seq          bigint CHECK (seq > 0),
  event_id     text CHECK (char_length(event_id) <= 128),
  kind         text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,63}$'),
  description  text NOT NULL CHECK (char_length(description) BETWEEN 1 AND 1024),
  found_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at  timestamptz
);
CREATE INDEX findings_listed ON audit.findings (zone_id, found_at DESC, id DESC);
CALL caracal.bind_to_zone('audit.findings');

CREATE TABLE audit.producer_watermarks (
  producer     text NOT NULL CHECK (char_length(producer) BETWEEN 1 AND 64),
  incarnation  text NOT NULL CHECK (char_length(incarnation) BETWEEN 1 AND 128),
  -- The highest number below which every other has arrived.
  seq          bigint NOT NULL CHECK (seq >= 0),
  -- All numbers that have arrived; a gap in it is evidence that has not.
  arrived      int8multirange NOT NULL,
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (producer, incarnation)
);

-- A producer's event that could not be stored, kept as it came. No zone: it may name none, or a false one.
CREATE TABLE audit.dead_letters (
  id           caracal.row_id PRIMARY KEY,
  entry_id     text NOT NULL UNIQUE CHECK (char_length(entry_id) BETWEEN 1 AND 64),
  reason       text NOT NULL CHECK (reason ~ '^[a-z][a-z_]{0,63}$'),
  fields       jsonb NOT NULL,
  recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  replayed_at  timestamptz
);

GRANT USAGE ON SEQUENCE audit.event_position TO caracal_audit;
GRANT SELECT, INSERT ON audit.events TO caracal_audit;
GRANT SELECT, INSERT ON audit.event_ids TO caracal_audit;
GRANT SELECT, INSERT ON audit.chain_heads TO caracal_audit;
GRANT UPDATE (seq, content_sha256, chain_hmac) ON audit.chain_heads TO caracal_audit;
GRANT SELECT, INSERT ON audit.findings TO caracal_audit;
GRANT UPDATE (resolved_at) ON audit.findings TO caracal_audit;
GRANT SELECT, INSERT ON audit.producer_watermarks TO caracal_audit;
GRANT UPDATE (seq, arrived, updated_at) ON audit.producer_watermarks TO caracal_audit;
GRANT SELECT, INSERT ON audit.dead_letters TO caracal_audit;
GRANT UPDATE (replayed_at) ON audit.dead_letters TO caracal_audit;
GRANT SELECT ON audit.events, audit.event_ids, audit.chain_heads, audit.findings TO caracal_audit_loader;

CREATE FUNCTION audit_pub.producer_watermarks(p_producer text) RETURNS TABLE (incarnation text, seq bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT w.incarnation, w.seq FROM audit.producer_watermarks AS w WHERE w.producer = p_producer ORDER BY w.incarnation;
END;
REVOKE ALL ON FUNCTION audit_pub.producer_watermarks(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_pub.producer_watermarks(text)
  TO caracal_sts, caracal_gateway, caracal_api, caracal_coordinator;
