-- Approvals: what policy allows only once somebody agrees, who agreed, and that it was done once.
--
-- A hold is bound by digest to exactly what will be done. It is pending until an approver decides or five minutes have passed;
-- approved, it is spent by the mint or the call it was raised for, once, whichever replica serves it; rejected, it stays so.
-- Nobody but the definer functions below changes a row, and each change of state writes its evidence in the same transaction.
--
-- Of one action there is one live hold, however often it is asked about. Each asker gets a secret of its own (kept here as
-- SHA-256): all of them may ask for the state, and the first to present one spends the hold. A rejection stands for as long
-- as the hold would have lived: asking again meanwhile raises nothing.
--
-- Every look-up is by the one index made for it, whatever the planner believes of a table that was empty when it planned:
-- there all indexes cost the same, so a column that has another index is compared in a form that none knows.
--
-- Locks, in this order: the principal (advisory), the hold, its failures, the outbox.
--
-- Published. sts_pub.approvals (reading) and sts_pub.decide_approval to the API.

CREATE TABLE sts.approvals (
  id                     caracal.row_id PRIMARY KEY,
  zone_id                caracal.row_id NOT NULL,
  binding                caracal.digest NOT NULL,
  challenge_type         text NOT NULL CHECK (challenge_type IN ('software_attestation', 'mfa', 'human_approval')),
  -- Who alone may decide; null leaves it to every approver of the zone.
  approvers              text[] CHECK (cardinality(approvers) BETWEEN 1 AND 32),
  state                  text NOT NULL DEFAULT 'pending'
                           CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'consumed')),
  secret_digests         bytea[] NOT NULL CHECK (cardinality(secret_digests) BETWEEN 1 AND 8),
  -- What will be done, for the approver.
  application_id         caracal.row_id NOT NULL,
  subject                text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 512),
  subject_type           text NOT NULL CHECK (subject_type IN ('user', 'application')),
  sid                    caracal.text_id,
  agent_session_id       caracal.text_id,
  delegation_edge_id     caracal.text_id,
  -- Everyone the request comes from: none of them may approve it.
  chain                  text[] NOT NULL CHECK (cardinality(chain) BETWEEN 1 AND 256),
  targets                jsonb NOT NULL CHECK (jsonb_typeof(targets) = 'array'),
  operation              jsonb NOT NULL CHECK (jsonb_typeof(operation) = 'object'),
  diagnostics            jsonb NOT NULL CHECK (jsonb_typeof(diagnostics) = 'array'),
  policy_set_version_id  caracal.row_id NOT NULL,
  policy_digest          caracal.digest NOT NULL,
  request_id             text NOT NULL CHECK (char_length(request_id) BETWEEN 1 AND 128),
  created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at             timestamptz NOT NULL,
  -- The approver's `sub` and token.
  decided_by             text CHECK (char_length(decided_by) BETWEEN 1 AND 256),
  decided_with           caracal.text_id,
  reason                 text CHECK (char_length(reason) BETWEEN 1 AND 500),
  decided_at             timestamptz,
  consumed_at            timestamptz,
  consumed_request_id    text CHECK (char_length(consumed_request_id) BETWEEN 1 AND 128),
  CHECK (expires_at > created_at AND expires_at <= created_at + interval '5 minutes 1 second'),
  CHECK ((decided_at IS NULL) = (decided_by IS NULL)),
  CHECK (decided_at IS NOT NULL OR state IN ('pending', 'expired')),
  CHECK ((consumed_at IS NULL) = (state <> 'consumed'))
);
CREATE UNIQUE INDEX approvals_live ON sts.approvals (binding, zone_id) WHERE state IN ('pending', 'approved');
CREATE INDEX approvals_binding ON sts.approvals (binding, zone_id);
CREATE INDEX approvals_waiting ON sts.approvals (subject, application_id, zone_id) WHERE state = 'pending';
CREATE INDEX approvals_listed ON sts.approvals (zone_id, created_at DESC, id DESC);
CREATE INDEX approvals_due ON sts.approvals (expires_at) WHERE state IN ('pending', 'approved');
CREATE INDEX approvals_age ON sts.approvals (expires_at) WHERE state NOT IN ('pending', 'approved');
CALL caracal.bind_to_zone('sts.approvals');
CREATE POLICY sweep ON sts.approvals TO caracal_owner USING (true);

-- Wrong presentations of one principal through one application, over all replicas.
CREATE TABLE sts.approval_failures (
  zone_id         caracal.row_id NOT NULL,
  application_id  caracal.row_id NOT NULL,
  subject         text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 512),
  subject_type    text NOT NULL CHECK (subject_type IN ('user', 'application')),
  failures        int NOT NULL CHECK (failures > 0),
  since           timestamptz NOT NULL,
  blocked_until   timestamptz,
  PRIMARY KEY (zone_id, application_id, subject, subject_type)
);
CREATE INDEX approval_failures_age ON sts.approval_failures (since);
CALL caracal.bind_to_zone('sts.approval_failures');
CREATE POLICY sweep ON sts.approval_failures TO caracal_owner USING (true);

GRANT SELECT ON sts.approvals TO caracal_sts;

-- The facts of a hold as the ledger keeps them with every change of its state. Policies above see all zones, so that
-- everything below names its zone itself.
CREATE FUNCTION sts.write_approval_evidence(p_hold sts.approvals, p_event_type text, p_more jsonb) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT sts.write_evidence(p_hold.zone_id, p_event_type, jsonb_strip_nulls(jsonb_build_object(
    'approval_id', p_hold.id,
    'binding', p_hold.binding,
    'challenge_type', p_hold.challenge_type,
    'approvers', to_jsonb(p_hold.approvers),
    'application_id', p_hold.application_id,
    'subject', p_hold.subject,
    'subject_type', p_hold.subject_type,
    'sid', p_hold.sid,
    'agent_session_id', p_hold.agent_session_id,
    'delegation_edge_id', p_hold.delegation_edge_id,
    -- The ledger takes no event of any size; the row has all of them.
    'targets', CASE WHEN octet_length(p_hold.targets::text) <= 65536 THEN p_hold.targets
                    ELSE jsonb_build_object('omitted', jsonb_array_length(p_hold.targets)) END,
    'operation', p_hold.operation,
    'policy_set_version_id', p_hold.policy_set_version_id,
    'policy_digest', p_hold.policy_digest,
    'asked_by_request', p_hold.request_id,
    'approver', p_hold.decided_by) || p_more));
END;
REVOKE ALL ON FUNCTION sts.write_approval_evidence(sts.approvals, text, jsonb) FROM PUBLIC;

-- Ends a hold that has outlived its time. The row must be locked.
CREATE FUNCTION sts.expire_approval(p_hold sts.approvals) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE sts.approvals AS a SET state = 'expired' WHERE a.zone_id = p_hold.zone_id AND a.id = p_hold.id;
  PERFORM sts.write_approval_evidence(p_hold, 'approval.expired', jsonb_build_object('was', p_hold.state));
  PERFORM pg_notify('caracal_approvals', p_hold.id);
END
$$;
REVOKE ALL ON FUNCTION sts.expire_approval(sts.approvals) FROM PUBLIC;

-- Raises a hold for an action, or joins the one that is live. Outcomes: raised, joined; rejected (the same action was
-- rejected a moment ago); too_many (16 pending holds of one principal through one application, 8 askers of one hold).
CREATE FUNCTION sts.raise_approval(p_zone text, p_id text, p_hold jsonb, p_secret_digest bytea, p_request_id text)
RETURNS TABLE (outcome text, approval_id text, ends_at timestamptz, database_time timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
  v_now timestamptz;
  v_hold sts.approvals;
  v_frees timestamptz;
  v_waiting int;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  PERFORM set_config('caracal.request_id', p_request_id, true);
  PERFORM pg_advisory_xact_lock(hashtextextended(
    'sts.approvals ' || p_zone || ' ' || (p_hold ->> 'application_id') || ' ' || (p_hold ->> 'subject'), 0));
  v_now := clock_timestamp();

  FOR v_hold IN
    SELECT a.* FROM sts.approvals AS a
    WHERE a.binding = p_hold ->> 'binding' AND a.zone_id || '' = p_zone
      AND (a.state IN ('pending', 'approved') OR (a.state = 'rejected' AND a.expires_at > v_now))
    FOR UPDATE
  LOOP
    IF v_hold.state = 'rejected' THEN
      RETURN QUERY SELECT 'rejected'::text, v_hold.id::text, v_hold.expires_at, v_now;
      RETURN;
    ELSIF v_hold.expires_at <= v_now THEN
      PERFORM sts.expire_approval(v_hold);
    ELSIF cardinality(v_hold.secret_digests) >= 8 THEN
      RETURN QUERY SELECT 'too_many'::text, v_hold.id::text, v_hold.expires_at, v_now;
      RETURN;
    ELSE
      UPDATE sts.approvals AS a SET secret_digests = a.secret_digests || p_secret_digest
      WHERE a.zone_id = p_zone AND a.id = v_hold.id;
      RETURN QUERY SELECT 'joined'::text, v_hold.id::text, v_hold.expires_at, v_now;
      RETURN;
    END IF;
  END LOOP;

  SELECT count(*), min(a.expires_at) INTO v_waiting, v_frees FROM sts.approvals AS a
  WHERE a.subject = p_hold ->> 'subject' AND a.application_id || '' = p_hold ->> 'application_id'
    AND a.zone_id || '' = p_zone AND a.state = 'pending' AND a.expires_at > v_now;
  IF v_waiting >= 16 THEN
    RETURN QUERY SELECT 'too_many'::text, ''::text, v_frees, v_now;
    RETURN;
  END IF;

  INSERT INTO sts.approvals AS a (
    id, zone_id, binding, challenge_type, approvers, secret_digests, application_id, subject, subject_type, sid,
    agent_session_id, delegation_edge_id, chain, targets, operation, diagnostics, policy_set_version_id, policy_digest,
    request_id, created_at, expires_at)
  VALUES (
    p_id, p_zone, p_hold ->> 'binding', p_hold ->> 'challenge_type',
    CASE WHEN p_hold ? 'approvers' THEN ARRAY(SELECT jsonb_array_elements_text(p_hold -> 'approvers')) END,
    ARRAY[p_secret_digest], p_hold ->> 'application_id', p_hold ->> 'subject', p_hold ->> 'subject_type', p_hold ->> 'sid',
    p_hold ->> 'agent_session_id', p_hold ->> 'delegation_edge_id',
    ARRAY(SELECT jsonb_array_elements_text(p_hold -> 'chain')), p_hold -> 'targets', p_hold -> 'operation',
    p_hold -> 'diagnostics', p_hold ->> 'policy_set_version_id', p_hold ->> 'policy_digest',
    p_request_id, v_now, v_now + make_interval(secs => (p_hold ->> 'ttl_seconds')::int))
  RETURNING a.* INTO v_hold;
  PERFORM sts.write_approval_evidence(v_hold, 'approval.requested', '{}');
  RETURN QUERY SELECT 'raised'::text, v_hold.id::text, v_hold.expires_at, v_now;
END
$$;
REVOKE ALL ON FUNCTION sts.raise_approval(text, text, jsonb, bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.raise_approval(text, text, jsonb, bytea, text) TO caracal_sts;

-- Counts a wrong presentation: five within two minutes close the way for five.
CREATE FUNCTION sts.count_approval_failure(
  p_zone text, p_application text, p_subject text, p_subject_type text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO sts.approval_failures AS f (zone_id, application_id, subject, subject_type, failures, since)
  VALUES (p_zone, p_application, p_subject, p_subject_type, 1, clock_timestamp())
  ON CONFLICT (zone_id, application_id, subject, subject_type) DO UPDATE SET
    failures = CASE WHEN f.since > clock_timestamp() - interval '2 minutes' THEN f.failures + 1 ELSE 1 END,
    since = CASE WHEN f.since > clock_timestamp() - interval '2 minutes' THEN f.since ELSE clock_timestamp() END,
    blocked_until = CASE WHEN f.failures >= 4 AND f.since > clock_timestamp() - interval '2 minutes'
                         THEN clock_timestamp() + interval '5 minutes' END;
END;
REVOKE ALL ON FUNCTION sts.count_approval_failure(text, text, text, text) FROM PUBLIC;

-- What a presented hold is worth: throttled, unknown (or the secret is wrong), other_action, or its state. With p_spend an
-- approved one is consumed here, in the one statement that finds it approved under its lock: of several that present it
-- at once, exactly one is told `spent`. unknown, other_action and consumed count as failures, but not of whoever lost the race.
CREATE FUNCTION sts.present_approval(
  p_zone text, p_id text, p_secret_digest bytea, p_binding text, p_principal jsonb, p_request_id text, p_spend boolean)
RETURNS TABLE (outcome text, challenge_type text, ends_at timestamptz, decided_by text, database_time timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
  v_now timestamptz;
  v_hold sts.approvals;
  v_blocked timestamptz;
  v_outcome text;
  v_application text := p_principal ->> 'application_id';
  v_subject text := p_principal ->> 'subject';
  v_subject_type text := p_principal ->> 'subject_type';
BEGIN
  PERFORM caracal.require_zone(p_zone);
  PERFORM set_config('caracal.request_id', p_request_id, true);
  SELECT f.blocked_until INTO v_blocked FROM sts.approval_failures AS f
  WHERE f.zone_id = p_zone AND f.application_id = v_application AND f.subject = v_subject
    AND f.subject_type = v_subject_type AND f.blocked_until > clock_timestamp();
  IF FOUND THEN
    RETURN QUERY SELECT 'throttled'::text, ''::text, v_blocked, ''::text, clock_timestamp();
    RETURN;
  END IF;

  SELECT a.* INTO v_hold FROM sts.approvals AS a
  WHERE a.zone_id = p_zone AND a.id = p_id AND p_secret_digest = ANY (a.secret_digests)
  FOR UPDATE;
  v_now := clock_timestamp();
  v_outcome := CASE
    WHEN v_hold.id IS NULL THEN 'unknown'
    WHEN v_hold.binding <> p_binding THEN 'other_action'
    WHEN v_hold.state IN ('pending', 'approved') AND v_hold.expires_at <= v_now THEN 'expired'
    ELSE v_hold.state END;

  IF v_outcome IN ('unknown', 'other_action') OR (v_outcome = 'consumed' AND NOT p_spend) THEN
    PERFORM sts.count_approval_failure(p_zone, v_application, v_subject, v_subject_type);
  ELSIF v_outcome = 'approved' AND p_spend THEN
    UPDATE sts.approvals AS a SET state = 'consumed', consumed_at = v_now, consumed_request_id = p_request_id
    WHERE a.zone_id = p_zone AND a.id = p_id AND a.state = 'approved'
    RETURNING a.* INTO v_hold;
    DELETE FROM sts.approval_failures AS f
    WHERE f.zone_id = p_zone AND f.application_id = v_application AND f.subject = v_subject
      AND f.subject_type = v_subject_type;
    PERFORM sts.write_approval_evidence(v_hold, 'approval.consumed', '{}');
    PERFORM pg_notify('caracal_approvals', p_id);
    v_outcome := 'spent';
  END IF;
  RETURN QUERY SELECT v_outcome, coalesce(v_hold.challenge_type, ''), coalesce(v_hold.expires_at, v_now),
    coalesce(v_hold.decided_by, ''), v_now;
END
$$;
REVOKE ALL ON FUNCTION sts.present_approval(text, text, bytea, text, jsonb, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.present_approval(text, text, bytea, text, jsonb, text, boolean) TO caracal_sts;

-- The state of a hold for whoever knows its secret, in whatever zone; nothing for everyone else.
CREATE FUNCTION sts.approval_status(p_id text, p_secret_digest bytea)
RETURNS TABLE (zone_id text, challenge_type text, state text, ends_at timestamptz, database_time timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
BEGIN ATOMIC
  SELECT a.zone_id::text, a.challenge_type,
    CASE WHEN a.state IN ('pending', 'approved') AND a.expires_at <= clock_timestamp() THEN 'expired' ELSE a.state END,
    a.expires_at, clock_timestamp()
  FROM sts.approvals AS a WHERE a.id = p_id AND p_secret_digest = ANY (a.secret_digests);
END;
REVOKE ALL ON FUNCTION sts.approval_status(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.approval_status(text, bytea) TO caracal_sts;

-- Ends up to p_limit holds whose time is over, with their evidence, and deletes up to p_limit that ended a day ago. Several
-- replicas may sweep at once. Returns how many rows it dealt with.
CREATE FUNCTION sts.sweep_approvals(p_limit int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
  v_hold sts.approvals;
  v_now timestamptz := clock_timestamp();
  v_count int := 0;
  v_gone int;
  v_ended text[];
BEGIN
  FOR v_hold IN
    SELECT a.* FROM sts.approvals AS a
    WHERE a.state IN ('pending', 'approved') AND a.expires_at <= v_now
    ORDER BY a.expires_at LIMIT p_limit
    FOR UPDATE SKIP LOCKED
  LOOP
    PERFORM set_config('caracal.request_id', v_hold.request_id, true);
    PERFORM sts.expire_approval(v_hold);
    v_count := v_count + 1;
  END LOOP;

  v_ended := ARRAY(
    SELECT o.id FROM sts.approvals AS o
    WHERE o.expires_at < v_now - interval '24 hours' AND o.state NOT IN ('pending', 'approved')
    ORDER BY o.expires_at LIMIT p_limit
    FOR UPDATE SKIP LOCKED);
  DELETE FROM sts.approvals AS a WHERE a.id = ANY (v_ended);
  GET DIAGNOSTICS v_gone = ROW_COUNT;
  v_count := v_count + v_gone;
  DELETE FROM sts.approval_failures AS f WHERE f.since < v_now - interval '1 hour';
  RETURN v_count;
END
$$;
REVOKE ALL ON FUNCTION sts.sweep_approvals(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts.sweep_approvals(int) TO caracal_sts;

-- Everything an approver may know of a hold; never its secrets. The zone is named here, because the owner's own policy
-- shows all of them.
CREATE VIEW sts_pub.approvals WITH (security_barrier) AS
  SELECT a.id, a.zone_id, a.binding, a.challenge_type, a.approvers,
    CASE WHEN a.state IN ('pending', 'approved') AND a.expires_at <= clock_timestamp() THEN 'expired' ELSE a.state END AS state,
    a.application_id, a.subject, a.subject_type, a.sid, a.agent_session_id, a.delegation_edge_id, a.chain, a.targets,
    a.operation, a.diagnostics, a.policy_set_version_id, a.policy_digest, a.request_id, a.created_at, a.expires_at,
    a.decided_by, a.reason, a.decided_at, a.consumed_at, a.consumed_request_id
  FROM sts.approvals AS a
  WHERE a.zone_id = current_setting('caracal.zone_id', true);
GRANT SELECT ON sts_pub.approvals TO caracal_api;

-- An approver's word, once. Outcomes: approved, rejected; not_found, decided (or expired), own_chain (the approver is part
-- of the request), not_an_approver (the policy names others). A user counts under the installation's name of them and under
-- their issuer's own, in any letter case: whoever could be the same person may not approve.
CREATE FUNCTION sts_pub.decide_approval(
  p_zone text, p_id text, p_decision text, p_approver text, p_token text, p_reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
  v_hold sts.approvals;
BEGIN
  PERFORM caracal.require_zone(p_zone);
  IF p_decision IS NULL OR p_decision NOT IN ('approved', 'rejected') OR coalesce(p_approver, '') = '' THEN
    RAISE EXCEPTION 'a decision is approved or rejected, by somebody' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT a.* INTO v_hold FROM sts.approvals AS a WHERE a.zone_id = p_zone AND a.id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not_found';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(v_hold.chain) AS c (name)
    WHERE lower(c.name) IN (lower(p_approver), lower(regexp_replace(p_approver, '^user:[^:]+:', '')))) THEN
    RETURN 'own_chain';
  END IF;
  IF v_hold.approvers IS NOT NULL AND NOT p_approver = ANY (v_hold.approvers) THEN
    RETURN 'not_an_approver';
  END IF;
  IF v_hold.state <> 'pending' OR v_hold.expires_at <= clock_timestamp() THEN
    RETURN 'decided';
  END IF;
  UPDATE sts.approvals AS a
  SET state = p_decision, decided_by = p_approver, decided_with = p_token, reason = p_reason, decided_at = clock_timestamp()
  WHERE a.zone_id = p_zone AND a.id = p_id
  RETURNING a.* INTO v_hold;
  PERFORM sts.write_approval_evidence(v_hold, 'approval.' || p_decision,
    jsonb_strip_nulls(jsonb_build_object('approver_token', p_token, 'reason', p_reason)));
  PERFORM pg_notify('caracal_approvals', p_id);
  RETURN p_decision;
END
$$;
REVOKE ALL ON FUNCTION sts_pub.decide_approval(text, text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sts_pub.decide_approval(text, text, text, text, text, text) TO caracal_api;

-- Who an approver is: the name by which decisions stand in the ledger and are compared with the chain of what they approve.
ALTER TABLE api.admin_tokens
  ADD COLUMN sub text CHECK (char_length(sub) BETWEEN 1 AND 256),
  ADD CONSTRAINT admin_tokens_sub CHECK (sub IS NULL OR capability = 'approve');
