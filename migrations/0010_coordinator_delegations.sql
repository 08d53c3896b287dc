-- Delegation edges: who passed which part of their authority to whom.
--
-- An edge goes from a source session to a target session of the same zone (the foreign keys carry the zone); the target
-- presents it. What an edge grants never changes after it was made: the Coordinator's role may change its state and nothing
-- else. Edges made from an edge name it as their parent, so that a revocation finds everything below.
--
-- graph_epochs counts the changes of a zone's graph. A caller that has just changed it can ask the STS to read up to an epoch.
--
-- Published. coordinator_pub.delegation_edges and graph_epochs to the STS; graph_epochs also to the Gateway, which checks
-- before it reuses a verdict that the graph has not moved.

CREATE TABLE coordinator.delegation_edges (
  id                       caracal.row_id PRIMARY KEY,
  zone_id                  caracal.row_id NOT NULL,
  source_session_id        caracal.row_id NOT NULL,
  target_session_id        caracal.row_id NOT NULL,
  issuer_application_id    caracal.row_id NOT NULL,
  receiver_application_id  caracal.row_id NOT NULL,
  parent_edge_id           caracal.row_id,
  scopes                   text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 256),
  -- Empty takes those of the source.
  resources                text[] NOT NULL DEFAULT '{}' CHECK (cardinality(resources) <= 256),
  -- How many further edges may follow, itself included.
  max_hops                 int NOT NULL CHECK (max_hops BETWEEN 1 AND 10),
  ttl_seconds              int CHECK (ttl_seconds > 0),
  state                    text NOT NULL CHECK (state IN ('pending', 'active', 'revoked', 'expired')),
  expires_at               timestamptz NOT NULL,
  created_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
  revoked_at               timestamptz,
  UNIQUE (zone_id, id),
  FOREIGN KEY (zone_id, source_session_id) REFERENCES coordinator.agent_sessions (zone_id, id),
  FOREIGN KEY (zone_id, target_session_id) REFERENCES coordinator.agent_sessions (zone_id, id),
  FOREIGN KEY (zone_id, parent_edge_id) REFERENCES coordinator.delegation_edges (zone_id, id),
  CHECK (source_session_id <> target_session_id),
  CHECK (expires_at > created_at),
  CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))
);
CREATE INDEX delegation_edges_source ON coordinator.delegation_edges (zone_id, source_session_id, state);
CREATE INDEX delegation_edges_target ON coordinator.delegation_edges (zone_id, target_session_id, state);
CREATE INDEX delegation_edges_parent ON coordinator.delegation_edges (zone_id, parent_edge_id)
  WHERE parent_edge_id IS NOT NULL;
CREATE INDEX delegation_edges_due ON coordinator.delegation_edges (expires_at) WHERE state IN ('pending', 'active');
CALL caracal.bind_to_zone('coordinator.delegation_edges');

CREATE TABLE coordinator.graph_epochs (
  zone_id  caracal.row_id PRIMARY KEY,
  epoch    bigint NOT NULL CHECK (epoch > 0)
);
CALL caracal.bind_to_zone('coordinator.graph_epochs');

GRANT SELECT, INSERT ON coordinator.delegation_edges TO caracal_coordinator;
GRANT UPDATE (state, revoked_at) ON coordinator.delegation_edges TO caracal_coordinator;
GRANT SELECT ON coordinator.delegation_edges TO caracal_coordinator_loader;
GRANT SELECT, INSERT ON coordinator.graph_epochs TO caracal_coordinator;
GRANT UPDATE (epoch) ON coordinator.graph_epochs TO caracal_coordinator;

CREATE VIEW coordinator_pub.delegation_edges WITH (security_barrier) AS
  SELECT id, zone_id, source_session_id, target_session_id, issuer_application_id, receiver_application_id, parent_edge_id,
         scopes, resources, max_hops, ttl_seconds, state, expires_at, created_at, revoked_at
  FROM coordinator.delegation_edges;
REVOKE ALL ON coordinator_pub.delegation_edges FROM PUBLIC;
GRANT SELECT ON coordinator_pub.delegation_edges TO caracal_sts;

CREATE VIEW coordinator_pub.graph_epochs WITH (security_barrier) AS
  SELECT zone_id, epoch FROM coordinator.graph_epochs;
REVOKE ALL ON coordinator_pub.graph_epochs FROM PUBLIC;
GRANT SELECT ON coordinator_pub.graph_epochs TO caracal_sts, caracal_gateway;
