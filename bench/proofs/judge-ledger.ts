// Compares what clients and upstream saw with what the ledger says: every released decision is there once, every refusal by
// decision too, nothing twice, and nothing got through after its revocation had been applied. Pure.
import type { LedgerEvent } from './ledger.ts';
import type { Sent } from './traffic.ts';

export interface Observations {
  readonly sent: readonly Sent[];
  /** How often a request id reached the upstream. */
  readonly upstream: ReadonlyMap<string, number>;
  readonly ledger: readonly LedgerEvent[];
  /** Sessions whose start or end a client was told of. */
  readonly startedSessions: readonly string[];
  readonly endedSessions: readonly string[];
}

export interface Judgement {
  /** What may become true once the ledger has caught up. */
  readonly missing: readonly string[];
  /** What nothing can repair. */
  readonly wrong: readonly string[];
  /** Allowed calls whose outcome is not in the ledger: a Gateway was ended before it wrote it. */
  readonly lostOutcomes: readonly Sent[];
}

/**
 * Refusals that no mandate stood behind are sampled, and these come before the mandate is looked at; a decision that
 * could not be recorded was not one.
 */
const withoutEvidence = new Set(['revocation_stale', 'audit_unavailable', 'draining', 'failed', 'rate_limited']);
/** The Gateway refused for want of an answer, and the STS may have decided and been lost with it. */
const undeliveredAnswers = new Set(['sts_unavailable']);

interface Evidence {
  readonly allows: number;
  readonly denials: number;
  readonly outcomes: number;
  readonly exchanges: readonly string[];
}

const nothing: Evidence = { allows: 0, denials: 0, outcomes: 0, exchanges: [] };

export function judgeLedger(seen: Observations): Judgement {
  const judgement = { missing: [] as string[], wrong: [] as string[], lostOutcomes: [] as Sent[] };
  const evidence = byRequest(seen.ledger);
  for (const sent of seen.sent) {
    const found = evidence.get(sent.requestId) ?? nothing;
    if (sent.kind === 'exchange') judgeExchange(sent, found, judgement);
    else judgeCall(sent, { found, arrivals: seen.upstream.get(sent.requestId) ?? 0 }, judgement);
  }
  for (const [requestId, found] of evidence) {
    const double =
      found.allows > 1 ||
      found.denials > 1 ||
      found.outcomes > 1 ||
      new Set(found.exchanges).size < found.exchanges.length;
    if (double) judgement.wrong.push(`${requestId} stands twice in the ledger: ${describe(seen.ledger, requestId)}`);
  }
  judgeSessions(seen, judgement);
  return judgement;
}

interface Findings {
  readonly missing: string[];
  readonly wrong: string[];
  readonly lostOutcomes: Sent[];
}

interface CallFacts {
  readonly name: string;
  readonly found: Evidence;
  readonly arrivals: number;
}

function judgeCall(sent: Sent, seen: { found: Evidence; arrivals: number }, findings: Findings): void {
  const facts = { ...seen, name: `${sent.kind} ${sent.requestId} (${sent.status} ${sent.reason})` };
  if (sent.status === 200 || facts.arrivals > 0) judgeReleased(sent, facts, findings);
  else judgeRefused(sent, facts, findings);
}

function judgeReleased(sent: Sent, { name, found, arrivals }: CallFacts, findings: Findings): void {
  if (arrivals > 1) findings.wrong.push(`${name} reached the upstream ${arrivals} times`);
  if (sent.isAfterBarrier) findings.wrong.push(`${name} got through after its revocation`);
  if (mustBeRefused(sent)) findings.wrong.push(`${name} got through`);
  if (found.denials > 0) findings.wrong.push(`${name} was released and denied`);
  if (found.allows === 0) findings.missing.push(`${name} was released without a decision in the ledger`);
  if (found.outcomes === 0) findings.lostOutcomes.push(sent);
}

function judgeRefused(sent: Sent, { name, found }: CallFacts, findings: Findings): void {
  if (found.outcomes > 0 && found.allows === 0) findings.missing.push(`${name} has an outcome without a decision`);
  if (withoutEvidence.has(sent.reason)) return;
  const isKeptBack = found.allows === 1 && wasKeptBack(sent);
  if (found.denials === 0 && !isKeptBack) findings.missing.push(`${name} has no denial in the ledger`);
  if (found.allows > 0 && !isKeptBack && !undeliveredAnswers.has(sent.reason)) {
    findings.wrong.push(`${name} was refused and allowed`);
  }
}

function mustBeRefused({ kind }: Sent): boolean {
  return kind === 'undeclared' || kind === 'beyond' || kind === 'replay';
}

/** Allowed, and then kept from the upstream: revoked in the turn of the first byte, or not reached. */
function wasKeptBack({ reason, kind }: Sent): boolean {
  return reason === 'upstream_unreachable' || (kind === 'session' && reason === 'token_revoked');
}

function judgeExchange(sent: Sent, found: Evidence, findings: Findings): void {
  const name = `exchange ${sent.requestId} (${sent.status} ${sent.reason})`;
  if (sent.status === 200) {
    if (found.exchanges.length === 0) findings.missing.push(`${name} was granted without evidence`);
    if (found.exchanges.some((each) => each.startsWith('deny'))) findings.wrong.push(`${name} was granted and denied`);
  } else if (sent.status === 403 && found.exchanges.length === 0) {
    findings.missing.push(`${name} was denied without evidence`);
  }
}

function judgeSessions(seen: Observations, findings: Findings): void {
  const count = (type: string, sessionId: string): number =>
    seen.ledger.filter((event) => event.type === type && event.metadata['agent_session_id'] === sessionId).length;
  const judge = (type: string, sessionIds: readonly string[]): void => {
    for (const sessionId of sessionIds) {
      const times = count(type, sessionId);
      if (times === 0) findings.missing.push(`${type} of ${sessionId} is not in the ledger`);
      if (times > 1) findings.wrong.push(`${type} of ${sessionId} stands ${times} times in the ledger`);
    }
  };
  judge('session.started', seen.startedSessions);
  judge('session.ended', seen.endedSessions);
}

function byRequest(ledger: readonly LedgerEvent[]): Map<string, Evidence> {
  const found = new Map<string, Evidence>();
  for (const { requestId, type, decision, metadata } of ledger) {
    const before = found.get(requestId) ?? nothing;
    if (type === 'gateway.decision') {
      // Decided while its answer was open: not the decision of the call.
      if (metadata['decided_again'] === true) continue;
      const allows = before.allows + (decision === 'allow' ? 1 : 0);
      found.set(requestId, { ...before, allows, denials: before.denials + (decision === 'allow' ? 0 : 1) });
    } else if (type === 'gateway.outcome') {
      found.set(requestId, { ...before, outcomes: before.outcomes + 1 });
    } else if (type === 'token.exchange') {
      found.set(requestId, {
        ...before,
        exchanges: [...before.exchanges, `${decision} ${String(metadata['resource'])}`],
      });
    }
  }
  return found;
}

function describe(ledger: readonly LedgerEvent[], requestId: string): string {
  return ledger
    .filter((event) => event.requestId === requestId)
    .map(({ type, decision, id, metadata }) => `${type} ${decision} ${id} ${JSON.stringify(metadata)}`)
    .join('; ');
}
