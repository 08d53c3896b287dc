// kill -9 of every process of an installation while governed traffic goes on, one after another: what the clients saw, in
// what time everything worked again, and what the ledger says about it.
import { setTimeout as sleep } from 'node:timers/promises';
import { outgoing } from '#mesh/rpc';
import { newId } from '#mesh/ids';
import { mandateOf, type GovernedZone } from './governed-zone.ts';
import type { PartName, ProofInstallation } from './installation.ts';
import type { Part } from './part.ts';
import { judgeLedger, type Judgement } from './judge-ledger.ts';
import { readLedger, verifyChain, type ChainCheck, type LedgerEvent } from './ledger.ts';
import { startTraffic, type Sent, type Traffic } from './traffic.ts';

export interface KillDrillOptions {
  readonly installation: ProofInstallation;
  readonly zone: GovernedZone;
  readonly seed: number;
  readonly connections: number;
}

/** What was seen from one kill to the recovery from it. */
export interface KillRow {
  readonly part: PartName;
  readonly sent: number;
  readonly allowed: number;
  readonly refused: number;
  readonly failed: number;
  /** From the kill until an exchange, a call, a session, its end with barrier and evidence of all of it worked again. */
  readonly recoveredMs: number;
  /** The end of the session in use was applied everywhere so long after it was asked for, with the part away meanwhile. */
  readonly barrierMs: number;
}

export interface DrillEnd {
  readonly judgement: Judgement;
  readonly chain: ChainCheck;
  readonly sent: readonly Sent[];
  readonly ledger: readonly LedgerEvent[];
  /** Allowed calls whose outcome is missing although no Gateway was killed near them. */
  readonly unexplainedLosses: readonly string[];
}

export interface KillDrill {
  /** Kills the part, brings it back after `downMs`, and resolves when everything works again. */
  kill(part: PartName, downMs: number): Promise<KillRow>;
  /** Ends the traffic, waits until the ledger has caught up, and judges. */
  finish(): Promise<DrillEnd>;
}

/** A drill on a loaded machine: what takes longer than this does not work. */
const ceilingMs = 90_000;
const pauseMs = 100;
/** A Gateway writes an outcome within a tick; what it was killed before is lost by design. */
const outcomeWindowMs = 1000;
/** The longest life a mandate may be given. */
const mandateSeconds = '3600';
const lifecycle = 'agent:lifecycle';

interface Session {
  readonly id: string;
  readonly mandate: string;
}

/** Mints what the traffic needs and begins it. */
export async function startKillDrill(options: KillDrillOptions): Promise<KillDrill> {
  const { zone, installation } = options;
  const { resource } = zone.facts;
  const scope = `reports:read reports:write ${lifecycle}`;
  const mint = await zone.token({ resource, scope, ttl_seconds: mandateSeconds });
  const drill = new Drill(options, mandateOf(mint));
  await drill.begin();
  return {
    kill: async (name, downMs) => drill.kill(installation.part(name), { name, downMs }),
    finish: async () => drill.finish(),
  };
}

class Drill {
  readonly #zone: GovernedZone;
  readonly #mandate: string;
  readonly #traffic: Traffic;
  readonly #started: string[] = [];
  readonly #ended: string[] = [];
  readonly #gatewayKilledAtMs: number[] = [];
  #session: Session | undefined;

  constructor(options: KillDrillOptions, mandate: string) {
    this.#zone = options.zone;
    this.#mandate = mandate;
    const { zone, connections, seed } = options;
    this.#traffic = startTraffic({ zone, connections, seed, mandate });
  }

  async begin(): Promise<void> {
    this.#session = await this.#startSession();
    this.#traffic.useSession(this.#session.mandate);
  }

  async kill(part: Part, { name, downMs }: { name: PartName; downMs: number }): Promise<KillRow> {
    const before = this.#traffic.sent.length;
    const killedAtMs = performance.now();
    if (name === 'gateway') this.#gatewayKilledAtMs.push(Date.now());
    await part.kill();
    // Asked for while the part is away: its barrier must hold whatever it meets.
    const ending = this.#endCurrentSession();
    await sleep(downMs);
    await part.start();
    const barrierMs = await ending;
    await this.#untilStoryWorks();
    const recoveredMs = performance.now() - killedAtMs;
    await this.begin();
    return { part: name, ...counts(this.#traffic.sent.slice(before)), recoveredMs, barrierMs };
  }

  async finish(): Promise<DrillEnd> {
    await this.#endCurrentSession();
    await sleep(10 * pauseMs);
    await this.#traffic.stop();
    const { sent } = this.#traffic;
    let ledger = await readLedger(this.#zone);
    let judgement = this.#judge(ledger);
    const untilMs = performance.now() + ceilingMs;
    const isBehind = (): boolean => judgement.missing.length > 0 || this.#unexplained(judgement).length > 0;
    while (isBehind() && performance.now() < untilMs) {
      await sleep(pauseMs);
      ledger = await readLedger(this.#zone);
      judgement = this.#judge(ledger);
    }
    const chain = await verifyChain(this.#zone);
    return { judgement, chain, sent, ledger, unexplainedLosses: this.#unexplained(judgement) };
  }

  #judge(ledger: readonly LedgerEvent[]): Judgement {
    return judgeLedger({
      sent: this.#traffic.sent,
      upstream: this.#zone.upstream.seen,
      ledger,
      startedSessions: this.#started,
      endedSessions: this.#ended,
    });
  }

  #unexplained({ lostOutcomes }: Judgement): string[] {
    const isNear = ({ sentAtMs, doneAtMs }: Sent): boolean =>
      this.#gatewayKilledAtMs.some((at) => sentAtMs <= at && at <= doneAtMs + outcomeWindowMs);
    return lostOutcomes.filter((each) => !isNear(each)).map(({ kind, requestId }) => `${kind} ${requestId}`);
  }

  async #startSession(): Promise<Session> {
    const { zoneId, applicationId } = this.#zone.facts;
    const started = await this.#zone.coordinator.startSession(
      { zoneId, applicationId, mandate: true },
      outgoing({ bearer: this.#mandate, requestId: newId(), timeoutMs: 10_000 }),
    );
    const session = { id: started.session?.id ?? '', mandate: started.mandate?.token ?? '' };
    this.#started.push(session.id);
    return session;
  }

  /** Asks until the barrier has said that every enforcement point refuses the session; tells how long that took. */
  async #endCurrentSession(): Promise<number> {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return 0;
    const startedMs = performance.now();
    await this.#eventually('the end of a session with its barrier', async () => this.#end(session));
    return performance.now() - startedMs;
  }

  async #end(session: Session): Promise<boolean> {
    const { zoneId } = this.#zone.facts;
    const answer = await this.#zone.coordinator.endSession(
      { zoneId, sessionId: session.id, reason: 'drill', waitApplied: true },
      outgoing({ bearer: this.#mandate, requestId: newId(), timeoutMs: 20_000 }),
    );
    if (answer.barrier?.applied !== true) return false;
    this.#traffic.sessionEnded(session.mandate);
    this.#ended.push(session.id);
    return true;
  }

  async #untilStoryWorks(): Promise<void> {
    await this.#eventually('the whole story', async () => {
      const { resource } = this.#zone.facts;
      mandateOf(await this.#zone.token({ resource, scope: 'reports:read' }));
      const session = await this.#startSession();
      const call = await this.#traffic.sendOne('session', session.mandate);
      if (call.status !== 200 || !(await this.#end(session))) return false;
      const after = await this.#traffic.sendOne('session', session.mandate);
      if (after.status !== 401) return false;
      const trace = await this.#zone.audit.getTrace({ zoneId: this.#zone.facts.zoneId, requestId: call.requestId });
      return trace.entries.length > 0 || this.#isSoonRecorded(call.requestId);
    });
  }

  async #isSoonRecorded(requestId: string): Promise<boolean> {
    const { zoneId } = this.#zone.facts;
    for (let attempt = 0; attempt < 50; attempt += 1) {
      await sleep(pauseMs);
      if ((await this.#zone.audit.getTrace({ zoneId, requestId })).entries.length > 0) return true;
    }
    return false;
  }

  async #eventually(what: string, attempt: () => Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + ceilingMs;
    for (let last: unknown; ;) {
      try {
        if (await attempt()) return;
      } catch (error) {
        last = error;
      }
      if (performance.now() > untilMs) throw new Error(`${what} did not work within ${ceilingMs} ms`, { cause: last });
      await sleep(pauseMs);
    }
  }
}

function counts(sent: readonly Sent[]): Pick<KillRow, 'sent' | 'allowed' | 'refused' | 'failed'> {
  const failed = sent.filter(({ status }) => status === 0).length;
  const allowed = sent.filter(({ status }) => status === 200).length;
  return { sent: sent.length, allowed, refused: sent.length - allowed - failed, failed };
}

export const killColumns = ['part', 'sent', 'allowed', 'refused', 'failed', 'recovered ms', 'barrier ms'] as const;

/** The cells of a row under `killColumns`. */
export function killRow(row: KillRow): (string | number)[] {
  const { part, sent, allowed, refused, failed, recoveredMs, barrierMs } = row;
  return [part, sent, allowed, refused, failed, Math.round(recoveredMs), Math.round(barrierMs)];
}

/** Everything that keeps the drill from being a pass. */
export function drillProblems({ judgement, chain, ledger, unexplainedLosses }: DrillEnd): string[] {
  return [
    ...judgement.missing,
    ...judgement.wrong,
    ...unexplainedLosses.map((name) => `${name} has no outcome although its Gateway lived`),
    ...chain.findings,
    ...(chain.checked < ledger.length ? [`only ${chain.checked} of ${ledger.length} events are in the chain`] : []),
  ];
}
