-- Agent sessions: what runs, below what, holding which authority.
--
-- A session records what it HOLDS (scopes, resources) and with whose mandate it was started (client_id, sid). States only go
-- active <-> suspended -> terminated | expired; a session that has ended never lives again, and its id is never used again.
-- Limits are counted in coordinator.capacity, one row per zone, application and parent, locked in sorted order of their keys;
-- they are never found by counting sessions. Rows lock before counters, counters before stream heads.
--
-- Idempotency receipts say for 24 hours which result a client's key stands for.
--
-- Published. coordinator_pub.agent_sessions to the STS, which checks at every mint that the session lives and what it holds.

CREATE TABLE coordinator.agent_sessions (
  id              caracal.row_id PRIMARY KEY,
  zone_id         caracal.row_id NOT NULL,
  application_id  caracal.row_id NOT NULL,
  parent_id       caracal.row_id,
  root_id         caracal.row_id NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('instance', 'ephemeral', 'service')),
  state           text NOT NULL CHECK (state IN ('active', 'suspended', 'terminated', 'expired')),
  depth           int NOT NULL CHECK (depth BETWEEN 0 AND 100),
  scopes          text[] NOT NULL DEFAULT '{}' CHECK (cardinality(scopes) <= 256),
  resources       text[] NOT NULL DEFAULT '{}' CHECK (cardinality(resources) <= 256),
  client_id       text NOT NULL CHECK (char_length(client_id) BETWEEN 1 AND 128),
  sid             text NOT NULL CHECK (char_length(sid) BETWEEN 1 AND 128),
  -- Whether its mandates carry agent:lifecycle, so that it may start children.
  pass_lifecycle  boolean NOT NULL DEFAULT false,
  labels          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at      timestamptz NOT NULL,
  ended_at        timestamptz,
  end_reason      text CHECK (char_length(end_reason) <= 256),
  transitions     bigint NOT NULL DEFAULT 1 CHECK (transitions >= 0),
  UNIQUE (zone_id, id),
  FOREIGN KEY (zone_id, parent_id) REFERENCES coordinator.agent_sessions (zone_id, id),
  CHECK ((parent_id IS NULL) = (depth = 0)),
  CHECK ((parent_id IS NULL) = (root_id = id)),
  CHECK ((state IN ('terminated', 'expired')) = (ended_at IS NOT NULL))
);
CREATE INDEX agent_sessions_parent ON coordinator.agent_sessions (zone_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX agent_sessions_listed ON coordinator.agent_sessions (zone_id, started_at DESC, id DESC);
CREATE INDEX agent_sessions_application ON coordinator.agent_sessions (zone_id, application_id, started_at DESC, id DESC);
CREATE INDEX agent_sessions_due ON coordinator.agent_sessions (expires_at) WHERE state IN ('active', 'suspended');
CALL caracal.bind_to_zone('coordinator.agent_sessions');

-- Refuses to change what identifies a session and to bring one back.
CREATE FUNCTION coordinator.keep_ended() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF old.state IN ('terminated', 'expired') AND new.state IS DISTINCT FROM old.state THEN
    RAISE EXCEPTION 'an agent session that has ended does not change its state' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN new;
END
$$;
REVOKE ALL ON FUNCTION coordinator.keep_ended() FROM PUBLIC;
CREATE TRIGGER keep_ended BEFORE UPDATE OF state ON coordinator.agent_sessions
  FOR EACH ROW EXECUTE FUNCTION coordinator.keep_ended();

CREATE TABLE coordinator.capacity (
  zone_id  caracal.row_id NOT NULL,
  -- zone | application:<id> | children:<session id>
  key      text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 256),
  used     int NOT NULL CHECK (used >= 0),
  PRIMARY KEY (zone_id, key)
);
CALL caracal.bind_to_zone('coordinator.capacity');

CREATE TABLE coordinator.idempotency_receipts (
  zone_id         caracal.row_id NOT NULL,
  operation       text NOT NULL CHECK (char_length(operation) BETWEEN 1 AND 256),
  key             text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 512),
  request_digest  text NOT NULL CHECK (char_length(request_digest) BETWEEN 1 AND 128),
  result_id       text NOT NULL CHECK (char_length(result_id) BETWEEN 1 AND 128),
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (zone_id, operation, key)
);
CREATE INDEX idempotency_receipts_age ON coordinator.idempotency_receipts (created_at);
CALL caracal.bind_to_zone('coordinator.idempotency_receipts');
CREATE POLICY purge ON coordinator.idempotency_receipts TO caracal_owner USING (true);

GRANT SELECT, INSERT ON coordinator.agent_sessions TO caracal_coordinator;
GRANT UPDATE (state, scopes, resources, labels, expires_at, ended_at, end_reason, transitions)
  ON coordinator.agent_sessions TO caracal_coordinator;
GRANT SELECT ON coordinator.agent_sessions TO caracal_coordinator_loader;
GRANT SELECT, INSERT, DELETE ON coordinator.capacity TO caracal_coordinator;
GRANT UPDATE (used) ON coordinator.capacity TO caracal_coordinator;
GRANT SELECT, INSERT, DELETE ON coordinator.idempotency_receipts TO caracal_coordinator;
GRANT UPDATE (request_digest, result_id, created_at) ON coordinator.idempotency_receipts TO caracal_coordinator;

-- Deletes up to p_limit receipts older than 24 hours.
CREATE FUNCTION coordinator.purge_receipts(p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH gone AS (
    DELETE FROM coordinator.idempotency_receipts AS r
    WHERE (r.zone_id, r.operation, r.key) IN (
      SELECT o.zone_id, o.operation, o.key FROM coordinator.idempotency_receipts AS o
      WHERE o.created_at < clock_timestamp() - interval '24 hours' LIMIT p_limit)
    RETURNING 1
  )
  SELECT count(*)::int FROM gone;
END;
REVOKE ALL ON FUNCTION coordinator.purge_receipts(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION coordinator.purge_receipts(int) TO caracal_coordinator;

CREATE VIEW coordinator_pub.agent_sessions WITH (security_barrier) AS
  SELECT id, zone_id, application_id, parent_id, root_id, kind, state, depth, scopes, resources, client_id, sid,
         pass_lifecycle, labels, started_at, expires_at, ended_at, transitions
  FROM coordinator.agent_sessions;
REVOKE ALL ON coordinator_pub.agent_sessions FROM PUBLIC;
GRANT SELECT ON coordinator_pub.agent_sessions TO caracal_sts;
