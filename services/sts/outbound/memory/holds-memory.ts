// HoldStore in a map, with the decisions and the passing of time that other processes bring about.
import type { Clock } from '#mesh/time';
import type { IdSource } from '#mesh/ids';
import type { HoldAnswer, HoldState, HoldStore, NewHold, PresentedHold, Raised } from '../../ports/hold-store.ts';

interface Row {
  readonly id: string;
  readonly hold: NewHold;
  readonly secrets: string[];
  expiresAtMs: number;
  state: HoldState;
  decidedBy: string;
  consumedBy: string;
}

export interface HoldEvent {
  readonly eventType: string;
  readonly approvalId: string;
}

export type DecisionOutcome = 'approved' | 'rejected' | 'not_found' | 'decided' | 'own_chain' | 'not_an_approver';

export interface HoldsMemory extends HoldStore {
  readonly events: HoldEvent[];
  decide(id: string, decision: 'approved' | 'rejected', approver: string): Promise<DecisionOutcome>;
  /** Makes its time be over. */
  outlive(id: string): Promise<void>;
  sweep(): Promise<number>;
}

const maxSecrets = 8;
const maxPending = 16;
const failuresAtMost = 5;
const failureWindowMs = 120_000;
const blockedMs = 300_000;

class Holds implements HoldsMemory {
  readonly events: HoldEvent[] = [];
  readonly #rows = new Map<string, Row>();
  readonly #failures = new Map<string, { count: number; sinceMs: number; blockedUntilMs: number }>();
  readonly #clock: Pick<Clock, 'now'>;
  readonly #newId: IdSource;
  #secrets = 0;

  constructor(clock: Pick<Clock, 'now'>, newId: IdSource) {
    this.#clock = clock;
    this.#newId = newId;
  }

  #tell(row: Row, eventType: string): void {
    this.events.push({ eventType, approvalId: row.id });
  }

  #secret(): string {
    this.#secrets += 1;
    return this.#secrets.toString().padStart(43, '0');
  }

  #isOver(row: Row): boolean {
    return (row.state === 'pending' || row.state === 'approved') && row.expiresAtMs <= this.#clock.now();
  }

  #expire(row: Row): void {
    row.state = 'expired';
    this.#tell(row, 'approval.expired');
  }

  async raise(hold: NewHold): Promise<Raised> {
    const now = this.#clock.now();
    for (const row of this.#rows.values()) {
      if (row.hold.action.zoneId !== hold.action.zoneId || row.hold.binding !== hold.binding) continue;
      if (this.#isOver(row)) this.#expire(row);
      const retryAfterMs = row.expiresAtMs - now;
      if (row.state === 'rejected' && retryAfterMs > 0) return { kind: 'rejected', id: row.id, retryAfterMs };
      if (row.state !== 'pending' && row.state !== 'approved') continue;
      if (row.secrets.length >= maxSecrets) return { kind: 'too_many', retryAfterMs };
      const secret = this.#secret();
      row.secrets.push(secret);
      return { kind: 'joined', id: row.id, secret, expiresAtMs: row.expiresAtMs };
    }
    const waiting = [...this.#rows.values()].filter(
      (row) => row.state === 'pending' && !this.#isOver(row) && who(row.hold) === who(hold),
    );
    if (waiting.length >= maxPending) {
      return { kind: 'too_many', retryAfterMs: Math.min(...waiting.map(({ expiresAtMs }) => expiresAtMs)) - now };
    }
    const [id, secret, expiresAtMs] = [this.#newId(), this.#secret(), now + hold.rule.ttlSeconds * 1000];
    const row: Row = { id, hold, secrets: [secret], expiresAtMs, state: 'pending', decidedBy: '', consumedBy: '' };
    this.#rows.set(id, row);
    this.#tell(row, 'approval.requested');
    return { kind: 'raised', id, secret, expiresAtMs };
  }

  async look(presented: PresentedHold): Promise<HoldAnswer> {
    return this.#present(presented, false);
  }

  async spend(presented: PresentedHold): Promise<HoldAnswer> {
    return this.#present(presented, true);
  }

  #present(presented: PresentedHold, spends: boolean): HoldAnswer {
    const now = this.#clock.now();
    const principal = who(presented);
    const blockedUntilMs = this.#failures.get(principal)?.blockedUntilMs ?? 0;
    if (blockedUntilMs > now) return { kind: 'throttled', retryAfterMs: blockedUntilMs - now };
    const row = this.#find(presented.id, presented.secret);
    if (row?.hold.action.zoneId !== presented.action.zoneId) {
      this.#fail(principal);
      return { kind: 'unknown' };
    }
    return row.hold.binding === presented.binding
      ? this.#judge(row, { spends, principal, requestId: presented.requestId })
      : this.#other(principal);
  }

  #other(principal: string): HoldAnswer {
    this.#fail(principal);
    return { kind: 'other_action' };
  }

  #judge(row: Row, by: { spends: boolean; principal: string; requestId: string }): HoldAnswer {
    const { decidedBy, expiresAtMs } = row;
    const facts = { type: row.hold.rule.type, decidedBy, expiresAtMs };
    if (this.#isOver(row)) return { kind: 'expired', ...facts };
    if (row.state === 'consumed' && !by.spends) this.#fail(by.principal);
    if (row.state !== 'approved' || !by.spends) return { kind: row.state, ...facts };
    row.state = 'consumed';
    row.consumedBy = by.requestId;
    this.#failures.delete(by.principal);
    this.#tell(row, 'approval.consumed');
    return { kind: 'spent', ...facts };
  }

  #find(id: string, secret: string): Row | undefined {
    const row = this.#rows.get(id);
    return row?.secrets.includes(secret) === true ? row : undefined;
  }

  #fail(principal: string): void {
    const now = this.#clock.now();
    const known = this.#failures.get(principal);
    const recent = known !== undefined && known.sinceMs > now - failureWindowMs ? known : undefined;
    const count = (recent?.count ?? 0) + 1;
    const blockedUntilMs = count >= failuresAtMost ? now + blockedMs : 0;
    this.#failures.set(principal, { count, sinceMs: recent?.sinceMs ?? now, blockedUntilMs });
  }

  async findSpent(zoneId: string, id: string, secret: string): ReturnType<HoldStore['findSpent']> {
    const row = this.#find(id, secret);
    if (row?.state !== 'consumed' || row.hold.action.zoneId !== zoneId) return undefined;
    const { binding, action, rule } = row.hold;
    const { type, approvers } = rule;
    return {
      binding,
      policyDigest: action.policyDigest,
      rule: { type, approvers },
      decidedBy: row.decidedBy,
      requestId: row.consumedBy,
    };
  }

  async status(id: string, secret: string): ReturnType<HoldStore['status']> {
    const row = this.#find(id, secret);
    if (!row) return undefined;
    const { zoneId } = row.hold.action;
    const { expiresAtMs } = row;
    return {
      id,
      zoneId,
      type: row.hold.rule.type,
      state: this.#isOver(row) ? 'expired' : row.state,
      expiresAtMs,
      remainingMs: Math.max(0, expiresAtMs - this.#clock.now()),
    };
  }

  async decide(id: string, decision: 'approved' | 'rejected', approver: string): Promise<DecisionOutcome> {
    const row = this.#rows.get(id);
    if (!row) return 'not_found';
    if (row.hold.chain.includes(approver)) return 'own_chain';
    if (row.hold.rule.approvers?.includes(approver) === false) return 'not_an_approver';
    if (row.state !== 'pending' || this.#isOver(row)) return 'decided';
    row.state = decision;
    row.decidedBy = approver;
    this.#tell(row, `approval.${decision}`);
    return decision;
  }

  async outlive(id: string): Promise<void> {
    const row = this.#rows.get(id);
    if (row) row.expiresAtMs = this.#clock.now() - 1;
  }

  async sweep(): Promise<number> {
    const over = [...this.#rows.values()].filter((row) => this.#isOver(row));
    for (const row of over) this.#expire(row);
    return over.length;
  }
}

/** Failures and limits count per principal and application. */
function who({ action }: Pick<NewHold | PresentedHold, 'action'>): string {
  const { subject, subjectType } = action.principal;
  return [action.zoneId, action.applicationId, subjectType, subject].join('\n');
}

export function createHoldsMemory(clock: Pick<Clock, 'now'>, newId: IdSource): HoldsMemory {
  return new Holds(clock, newId);
}
