-- Users: whose word about them a zone takes, and what each of them lets an application do.
--
-- A subject issuer is an OpenID provider registered in a zone. What a token of it must be (issuer, audience, algorithms)
-- comes from here and never from the token. `claims` names the claims policies may see: {"<name in policy>": "<claim>"}.
-- may_act says where the RFC 8693 §4.4 may_act of its users' mandates comes from: nowhere, the id token, or the
-- registration of the application that exchanges it.
--
-- A grant says what one user lets one application do at one resource. It stands where the scopes and targets of a subject
-- mandate would. `subject` is the `sub` of the user's mandates, user:<subject issuer>:<sub>. One live grant per
-- application, user and resource.
--
-- Both are archived, never deleted: an archived issuer or grant does not exist.
--
-- sts.session_records.subject_claims: the mapped claims of the user a session began with, kept for the decisions of its
-- later exchanges, so that no mandate carries them.

CREATE TABLE api.subject_issuers (
  id           caracal.row_id PRIMARY KEY,
  zone_id      caracal.row_id NOT NULL REFERENCES api.zones,
  name         caracal.display_name NOT NULL,
  issuer       text NOT NULL CHECK (issuer ~ '^https?://' AND char_length(issuer) <= 1024),
  jwks_url     text NOT NULL CHECK (jwks_url ~ '^https?://' AND char_length(jwks_url) <= 2048),
  audience     text NOT NULL CHECK (char_length(audience) BETWEEN 1 AND 512),
  algorithms   text[] NOT NULL CHECK (cardinality(algorithms) BETWEEN 1 AND 6
                 AND algorithms <@ ARRAY['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']),
  claims       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(claims) = 'object'),
  may_act      text NOT NULL DEFAULT 'none' CHECK (may_act IN ('none', 'id_token', 'application')),
  version      bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at  timestamptz,
  UNIQUE (zone_id, id)
);
CREATE UNIQUE INDEX subject_issuers_live ON api.subject_issuers (zone_id, issuer) WHERE archived_at IS NULL;
CREATE INDEX subject_issuers_listed ON api.subject_issuers (zone_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.subject_issuers');

CREATE TABLE api.grants (
  id                 caracal.row_id PRIMARY KEY,
  zone_id            caracal.row_id NOT NULL REFERENCES api.zones,
  application_id     caracal.row_id NOT NULL,
  subject_issuer_id  caracal.row_id NOT NULL,
  subject            text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 512),
  resource_id        caracal.row_id NOT NULL,
  scopes             text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 64),
  -- NULL ends with the application, the resource or the issuer.
  expires_at         timestamptz,
  version            bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  archived_at        timestamptz,
  UNIQUE (zone_id, id),
  FOREIGN KEY (zone_id, application_id) REFERENCES api.applications (zone_id, id),
  FOREIGN KEY (zone_id, subject_issuer_id) REFERENCES api.subject_issuers (zone_id, id),
  FOREIGN KEY (zone_id, resource_id) REFERENCES api.resources (zone_id, id),
  CHECK (starts_with(subject, 'user:' || subject_issuer_id || ':'))
);
-- Also what the STS reads by: all grants of one user to one application.
CREATE UNIQUE INDEX grants_live ON api.grants (zone_id, application_id, subject, resource_id) WHERE archived_at IS NULL;
CREATE INDEX grants_issuer ON api.grants (zone_id, subject_issuer_id) WHERE archived_at IS NULL;
CREATE INDEX grants_listed ON api.grants (zone_id, created_at DESC, id DESC);
CREATE INDEX grants_subject ON api.grants (zone_id, subject, created_at DESC, id DESC);
CREATE INDEX grants_application ON api.grants (zone_id, application_id, created_at DESC, id DESC);
CREATE INDEX grants_resource ON api.grants (zone_id, resource_id, created_at DESC, id DESC);
CALL caracal.bind_to_zone('api.grants');

GRANT SELECT, INSERT ON api.subject_issuers TO caracal_api;
GRANT UPDATE (name, jwks_url, audience, algorithms, claims, may_act, version, updated_at, archived_at)
  ON api.subject_issuers TO caracal_api;
GRANT SELECT ON api.subject_issuers TO caracal_api_loader;
GRANT SELECT, INSERT ON api.grants TO caracal_api;
GRANT UPDATE (scopes, expires_at, version, updated_at, archived_at) ON api.grants TO caracal_api;
GRANT SELECT ON api.grants TO caracal_api_loader;

CREATE VIEW api_pub.subject_issuers WITH (security_barrier) AS
  SELECT id, zone_id, issuer, jwks_url, audience, algorithms, claims, may_act, version, archived_at
  FROM api.subject_issuers;
REVOKE ALL ON api_pub.subject_issuers FROM PUBLIC;
GRANT SELECT ON api_pub.subject_issuers TO caracal_sts;

CREATE VIEW api_pub.grants WITH (security_barrier) AS
  SELECT id, zone_id, application_id, subject_issuer_id, subject, resource_id, scopes, expires_at, version, archived_at
  FROM api.grants;
REVOKE ALL ON api_pub.grants FROM PUBLIC;
GRANT SELECT ON api_pub.grants TO caracal_sts;

ALTER TABLE sts.session_records
  ADD COLUMN subject_claims jsonb CHECK (jsonb_typeof(subject_claims) = 'object');
