-- What the STS holds at providers: a connection for each (provider, subject), and attempts to make one that are under way.
--
-- A connection keeps an access token and, where the provider gives one, a refresh token, each sealed for its own column of
-- this row. subject is '' for a connection of the whole zone, else the user's name in mandates (user:<issuer>:<sub>).
-- refresh_version counts the tokens up: whoever writes new ones names the version it has read, so that a refresh token that
-- rotates is never replaced by an older one. lease_holder and lease_until let one replica at a time ask the provider; a
-- lease that its holder does not give back lapses by itself.
--
-- An attempt is one authorization request (RFC 6749 §4.1.1). It is found by the digest of its state, taken out by whoever
-- completes it, and so good once. The verifier of PKCE (RFC 7636) is sealed beside it.
--
-- Published. sts_pub.connections (no token) and sts_pub.revoke_connection to the API.

CREATE TABLE sts.provider_connections (
  id                caracal.row_id PRIMARY KEY,
  zone_id           caracal.row_id NOT NULL,
  provider_id       caracal.row_id NOT NULL,
  subject           text NOT NULL DEFAULT '' CHECK (char_length(subject) <= 512),
  state             text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'broken', 'revoked')),
  -- NULL while nothing was obtained yet, and once it is revoked.
  access_envelope   bytea CHECK (octet_length(access_envelope) BETWEEN 1 AND 131072),
  refresh_envelope  bytea CHECK (octet_length(refresh_envelope) BETWEEN 1 AND 131072),
  refresh_version   bigint NOT NULL DEFAULT 1 CHECK (refresh_version > 0),
  -- The version of the provider that the tokens were obtained under.
  provider_version  bigint NOT NULL DEFAULT 0 CHECK (provider_version >= 0),
  -- When the access token stops working; NULL when the provider did not say.
  expires_at        timestamptz,
  scopes            text[] NOT NULL DEFAULT '{}' CHECK (cardinality(scopes) <= 256),
  -- A word of ours or of RFC 6749 §5.2, never the provider's prose.
  last_error        text CHECK (char_length(last_error) <= 64),
  failed_at         timestamptz,
  lease_holder      text CHECK (char_length(lease_holder) <= 64),
  lease_until       timestamptz,
  created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  refreshed_at      timestamptz,
  revoked_at        timestamptz,
  CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
  CHECK (state <> 'revoked' OR (access_envelope IS NULL AND refresh_envelope IS NULL))
);
CREATE UNIQUE INDEX provider_connections_live ON sts.provider_connections (zone_id, provider_id, subject)
  WHERE state <> 'revoked';
CREATE INDEX provider_connections_listed ON sts.provider_connections (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('sts.provider_connections');

CREATE TABLE sts.connection_attempts (
  id                 caracal.row_id PRIMARY KEY,
  zone_id            caracal.row_id NOT NULL,
  -- SHA-256 of the state, lower-case hex.
  state_digest       text NOT NULL UNIQUE CHECK (state_digest ~ '^[0-9a-f]{64}$'),
  provider_id        caracal.row_id NOT NULL,
  subject            text NOT NULL DEFAULT '' CHECK (char_length(subject) <= 512),
  redirect_uri       text NOT NULL CHECK (char_length(redirect_uri) BETWEEN 1 AND 2048),
  -- The administrator who began; only the same one completes.
  actor_id           text NOT NULL CHECK (char_length(actor_id) BETWEEN 1 AND 128),
  verifier_envelope  bytea NOT NULL CHECK (octet_length(verifier_envelope) BETWEEN 1 AND 4096),
  expires_at         timestamptz NOT NULL,
  created_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX connection_attempts_zone ON sts.connection_attempts (zone_id, expires_at);
CALL caracal.bind_to_zone('sts.connection_attempts');

GRANT SELECT, INSERT ON sts.provider_connections TO caracal_sts;
GRANT UPDATE (state, access_envelope, refresh_envelope, refresh_version, provider_version, expires_at, scopes, last_error,
              failed_at, lease_holder, lease_until, refreshed_at, revoked_at) ON sts.provider_connections TO caracal_sts;
GRANT SELECT, INSERT, DELETE ON sts.connection_attempts TO caracal_sts;

CREATE VIEW sts_pub.connections WITH (security_barrier) AS
  SELECT id, zone_id, provider_id, subject, state, scopes, expires_at, last_error, failed_at, created_at, refreshed_at,
         revoked_at
  FROM sts.provider_connections;
REVOKE ALL ON sts_pub.connections FROM PUBLIC;
GRANT SELECT ON sts_pub.connections TO caracal_api;

-- Ends a connection and forgets its tokens; the provider's id when there was one to end. The caller tells the STS replicas by
-- an invalidation of that provider in the same transaction.
CREATE FUNCTION sts_pub.revoke_connection(p_zone text, p_id text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_provider text;
  v_subject text;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  UPDATE sts.provider_connections AS c
  SET state = 'revoked', revoked_at = clock_timestamp(), access_envelope = NULL, refresh_envelope = NULL,
      refresh_version = c.refresh_version + 1, lease_holder = NULL, lease_until = NULL
  WHERE c.zone_id = p_zone AND c.id = p_id AND c.state <> 'revoked'
  RETURNING c.provider_id, c.subject INTO v_provider, v_subject;
  IF v_provider IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM sts.write_evidence(p_zone, 'connection.revoked', jsonb_build_object(
    'connection_id', p_id, 'provider_id', v_provider, 'subject', v_subject));
  RETURN v_provider;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.revoke_connection(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.revoke_connection(text, text) TO caracal_api;
