-- Who may administer, and what they have already asked for.
--
-- Admin tokens are found by the SHA-256 of the token; the token itself is shown once and stored nowhere. A token of scope
-- `zone` names its zone, one of scope `global` names none. They are looked up before any zone is known, so this table is no
-- zone table: only the API's own role can read it at all. Of a token nothing changes but that it is revoked.
--
-- Idempotency receipts belong to an actor, per zone and route, and are kept 24 hours. A replay never repeats a secret, so the
-- API stores none in `response`. Routes without a zone (making one) use the empty zone_id; those rows belong to no tenant and
-- are seen in every transaction, all others are bound to their zone. api.purge_receipts deletes across zones, as the owner.

CREATE TABLE api.admin_tokens (
  id          caracal.row_id PRIMARY KEY,
  name        caracal.display_name NOT NULL,
  digest      bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  scope       text NOT NULL CHECK (scope IN ('global', 'zone')),
  zone_id     caracal.row_id REFERENCES api.zones,
  capability  text NOT NULL CHECK (capability IN ('read', 'write', 'approve', 'all')),
  created_by  text NOT NULL CHECK (char_length(created_by) BETWEEN 1 AND 256),
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  revoked_at  timestamptz,
  CHECK ((scope = 'zone') = (zone_id IS NOT NULL))
);
CREATE INDEX admin_tokens_zone ON api.admin_tokens (zone_id) WHERE zone_id IS NOT NULL;

CREATE TABLE api.idempotency_receipts (
  actor_id     text NOT NULL CHECK (char_length(actor_id) BETWEEN 1 AND 128),
  zone_id      text NOT NULL CHECK (zone_id = '' OR zone_id ~ '^[A-Za-z0-9_.:-]{1,128}$'),
  route        text NOT NULL CHECK (char_length(route) BETWEEN 1 AND 256),
  key_digest   caracal.digest NOT NULL,
  body_digest  caracal.digest NOT NULL,
  status       int NOT NULL CHECK (status BETWEEN 200 AND 299),
  response     jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (actor_id, zone_id, route, key_digest)
);
CREATE INDEX idempotency_receipts_age ON api.idempotency_receipts (created_at);
CALL caracal.bind_to_zone('api.idempotency_receipts');
CREATE POLICY no_zone ON api.idempotency_receipts TO caracal_api USING (zone_id = '');
CREATE POLICY purge ON api.idempotency_receipts TO caracal_owner USING (true);

GRANT SELECT, INSERT ON api.admin_tokens TO caracal_api;
GRANT UPDATE (revoked_at) ON api.admin_tokens TO caracal_api;
GRANT SELECT, INSERT, DELETE ON api.idempotency_receipts TO caracal_api;
GRANT UPDATE (body_digest, status, response, created_at) ON api.idempotency_receipts TO caracal_api;

-- Deletes up to p_limit receipts older than 24 hours.
CREATE FUNCTION api.purge_receipts(p_limit int) RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH gone AS (
    DELETE FROM api.idempotency_receipts AS r
    WHERE (r.actor_id, r.zone_id, r.route, r.key_digest) IN (
      SELECT o.actor_id, o.zone_id, o.route, o.key_digest FROM api.idempotency_receipts AS o
      WHERE o.created_at < clock_timestamp() - interval '24 hours' LIMIT p_limit)
    RETURNING 1
  )
  SELECT count(*)::int FROM gone;
END;
REVOKE ALL ON FUNCTION api.purge_receipts(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.purge_receipts(int) TO caracal_api;
