// HoldStore on sts.approvals: every change is one of the schema's own functions, which write the evidence with it.
import { randomBytes } from 'node:crypto';
import { sha256 } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { SYSTEM_ZONE } from '#mesh/ids';
import type { IdSource } from '#mesh/ids';
import type { HeldAction } from '../../domain/hold.ts';
import type { ChallengeType } from '../../domain/hold-rule.ts';
import type { HoldAnswer, HoldState, HoldStore, NewHold, PresentedHold, Raised } from '../../ports/hold-store.ts';
import { inZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

export interface HoldsDeps {
  /** As zones share it: waiting for approvals delays nobody else's. */
  readonly shares: ZoneShares;
  readonly newId: IdSource;
}

/** 256 bits: nobody guesses it, so that its digest needs no key and no salt. */
const secretBytes = 32;
/** Their form in base64url; anything else is no secret of ours and is not asked about. */
const secretForm = /^[A-Za-z0-9_-]{43}$/;
const rowId = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function holdJson({ action, binding, rule, chain, diagnostics, policySetVersionId }: NewHold): JsonObject {
  const { principal, session, targets, operation } = action;
  return {
    binding,
    challenge_type: rule.type,
    ...(rule.approvers ? { approvers: [...rule.approvers] } : {}),
    ttl_seconds: rule.ttlSeconds,
    application_id: action.applicationId,
    subject: principal.subject,
    subject_type: principal.subjectType,
    ...(session.sid === undefined ? {} : { sid: session.sid }),
    ...(session.agentSessionId === undefined ? {} : { agent_session_id: session.agentSessionId }),
    ...(session.delegationEdgeId === undefined ? {} : { delegation_edge_id: session.delegationEdgeId }),
    chain: [...chain],
    targets: targets.map(({ resource, scopes }) => ({ resource, scopes: [...scopes] })),
    operation: operationJson(operation),
    diagnostics: diagnostics.map(storable),
    policy_set_version_id: policySetVersionId,
    policy_digest: action.policyDigest,
  };
}

/** Policies write what they like; jsonb takes neither NUL nor half a surrogate pair. */
const storableText = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed();

function storable(value: JsonValue): JsonValue {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(storable);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as JsonObject).filter(
    (entry): entry is [string, JsonValue] => entry[1] !== undefined,
  );
  return Object.fromEntries(entries.map(([name, member]) => [storableText(name), storable(member)]));
}

function operationJson(operation: HeldAction['operation']): JsonObject {
  if (operation.kind === 'token_exchange') return { kind: operation.kind, use: operation.use };
  const { kind, method, path, argumentsDigest } = operation;
  return { kind, method, path, ...(argumentsDigest === '' ? {} : { arguments_digest: argumentsDigest }) };
}

interface RaisedRow {
  outcome: 'raised' | 'joined' | 'rejected' | 'too_many';
  approval_id: string;
  ends_at: Date;
  database_time: Date;
}

interface PresentedRow {
  outcome: HoldAnswer['kind'];
  challenge_type: ChallengeType;
  ends_at: Date;
  decided_by: string;
  database_time: Date;
}

interface StatusRow {
  zone_id: string;
  challenge_type: ChallengeType;
  state: HoldState;
  ends_at: Date;
  database_time: Date;
}

interface SpentRow {
  binding: string;
  policy_digest: string;
  challenge_type: ChallengeType;
  approvers: string[] | null;
  decided_by: string;
  consumed_request_id: string;
}

function remaining(row: { ends_at: Date; database_time: Date }): number {
  return Math.max(0, row.ends_at.getTime() - row.database_time.getTime());
}

async function raise({ shares, newId }: HoldsDeps, hold: NewHold): Promise<Raised> {
  const secret = randomBytes(secretBytes).toString('base64url');
  const row = await inZone(shares, hold.action.zoneId, async (tx) =>
    tx.one<RaisedRow>('SELECT * FROM sts.raise_approval($1, $2, $3, $4, $5)', [
      tx.zoneId,
      newId(),
      JSON.stringify(holdJson(hold)),
      sha256(secret),
      hold.requestId,
    ]),
  );
  if (!row) throw fail('internal_error', { privateDetail: 'no answer to a raised hold' });
  switch (row.outcome) {
    case 'raised':
    case 'joined':
      return { kind: row.outcome, id: row.approval_id, secret, expiresAtMs: row.ends_at.getTime() };
    case 'rejected':
      return { kind: row.outcome, id: row.approval_id, retryAfterMs: remaining(row) };
    case 'too_many':
      return { kind: row.outcome, retryAfterMs: remaining(row) };
  }
}

async function present({ shares }: HoldsDeps, presented: PresentedHold, spend: boolean): Promise<HoldAnswer> {
  const { action, id, secret } = presented;
  const { subject, subjectType } = action.principal;
  const principal = { application_id: action.applicationId, subject, subject_type: subjectType };
  const row = await inZone(shares, action.zoneId, async (tx) =>
    tx.one<PresentedRow>('SELECT * FROM sts.present_approval($1, $2, $3, $4, $5, $6, $7)', [
      tx.zoneId,
      // What cannot be one of ours is counted like any other wrong one.
      rowId.test(id) ? id : '',
      sha256(secretForm.test(secret) ? secret : ''),
      presented.binding,
      JSON.stringify(principal),
      presented.requestId,
      spend,
    ]),
  );
  if (!row) return { kind: 'unknown' };
  switch (row.outcome) {
    case 'throttled':
      return { kind: row.outcome, retryAfterMs: remaining(row) };
    case 'unknown':
    case 'other_action':
      return { kind: row.outcome };
    case 'pending':
    case 'approved':
    case 'rejected':
    case 'expired':
    case 'consumed':
    case 'spent': {
      const { challenge_type: type, decided_by: decidedBy } = row;
      return { kind: row.outcome, type, decidedBy, expiresAtMs: row.ends_at.getTime() };
    }
  }
}

export function createHoldsPostgres(deps: HoldsDeps): HoldStore {
  return {
    raise: async (hold) => raise(deps, hold),
    look: async (presented) => present(deps, presented, false),
    spend: async (presented) => present(deps, presented, true),
    async findSpent(zoneId, id, secret) {
      if (!rowId.test(id) || !secretForm.test(secret)) return undefined;
      const row = await inZone(deps.shares, zoneId, async (tx) =>
        tx.one<SpentRow>(
          `SELECT binding, policy_digest, challenge_type, approvers, decided_by, consumed_request_id
             FROM sts.approvals WHERE id = $1 AND state = 'consumed' AND $2 = ANY (secret_digests)`,
          [id, sha256(secret)],
        ),
      );
      return (
        row && {
          binding: row.binding,
          policyDigest: row.policy_digest,
          rule: { type: row.challenge_type, approvers: row.approvers ?? undefined },
          decidedBy: row.decided_by,
          requestId: row.consumed_request_id,
        }
      );
    },
    async status(id, secret) {
      if (!rowId.test(id) || !secretForm.test(secret)) return undefined;
      // Which zone it is of is known to the row alone: all who ask stand in one line.
      const row = await deps.shares.inZone(
        SYSTEM_ZONE,
        async (tx) => tx.one<StatusRow>('SELECT * FROM sts.approval_status($1, $2)', [id, sha256(secret)]),
        'approval status',
      );
      if (!row) return undefined;
      const { zone_id: zoneId, challenge_type: type, state } = row;
      return { id, zoneId, type, state, expiresAtMs: row.ends_at.getTime(), remainingMs: remaining(row) };
    },
  };
}
