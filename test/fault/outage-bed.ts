/**
 * What every row of the outage table is tried on: one governed zone with everything warm, each request remembered, and a
 * way to say that all is well again. A row takes a part away, asks each cell, and settles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { newId } from '#mesh/ids';
import { failureFromConnect, outgoing } from '#mesh/rpc';
import {
  makeZone,
  mandateOf,
  openGovernedZone,
  type CallOptions,
  type FormFields,
  type GovernedZone,
  type Seen,
} from '../../bench/proofs/governed-zone.ts';
import type { ProofInstallation } from '../../bench/proofs/installation.ts';
import { judgeLedger, type Judgement } from '../../bench/proofs/judge-ledger.ts';
import { readLedger, verifyChain } from '../../bench/proofs/ledger.ts';
import type { RequestKind, Sent } from '../../bench/proofs/traffic.ts';
import { startFaultInstallation } from './fault-installation.ts';

export interface Session {
  readonly id: string;
  readonly mandate: string;
}

export interface OutageBed extends AsyncDisposable {
  readonly installation: ProofInstallation;
  readonly zone: GovernedZone;
  /** Of the application, for reading and writing and for sessions. */
  readonly mandate: string;
  /** A governed call; remembered. `single_use` and `replay` when the mandate is one for a single call. */
  call(mandate: string, options?: CallOptions & { kind?: RequestKind }): Promise<Seen>;
  /** The token endpoint; remembered. */
  exchange(fields: FormFields): Promise<Seen>;
  /** A mandate for one call. */
  mintForOneCall(): Promise<string>;
  exchangeForOneCall(): Promise<Seen>;
  startSession(options?: { withMandate?: boolean }): Promise<Session>;
  endSession(session: Session, options?: { waitApplied?: boolean; timeoutMs?: number }): Promise<boolean>;
  /** A request id nobody has asked about under a path nobody has called. */
  newPath(): string;
  /** Until every way of using the installation works again. */
  recovered(): Promise<void>;
  /** The ledger holds what was done since the last time, once, and its chain verifies. */
  settled(): Promise<void>;
}

/** Beats come each second and confirm what was asked for a second before: little above that is as low as it works. */
export const stalenessMs = 3000;
const ceilingMs = 30_000;
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

/** Polls; the message says what did not come about. */
export async function eventually(what: string, attempt: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + ceilingMs;
  let last: unknown;
  while (performance.now() < untilMs) {
    try {
      if (await attempt()) return;
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw new Error(`${what} did not come about`, { cause: last });
}

/** The reason of a refused RPC, or `done`. */
export async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return failureFromConnect(error).reason;
  }
}

export async function startOutageBed(): Promise<OutageBed> {
  const parts = new AsyncDisposableStack();
  const installation = parts.use(
    await startFaultInstallation({
      // Without OPA_BINARY: compiled policies would go on deciding while OPA is away, and hide what its absence does.
      settings: {
        REVOCATION_MAX_STALENESS_MS: String(stalenessMs),
        AUDIT_REPLAY_MAX_BYTES: '1048576',
        OPA_BINARY: '',
      },
    }),
  );
  const zone = parts.use(await openGovernedZone(installation, await makeZone(installation)));
  const { resource, zoneId, applicationId } = zone.facts;
  const scope = 'reports:read reports:write agent:lifecycle';
  const mandate = mandateOf(await zone.token({ resource, scope, ttl_seconds: '3600' }));
  const memory = new Memory(zone);
  const bed: Omit<OutageBed, 'recovered' | 'settled'> = {
    installation,
    zone,
    mandate,
    call: async (used, { kind = 'read', ...options } = {}) =>
      memory.keep(kind, zone.call(used, { requestId: newId(), ...options })),
    exchange: async (fields) => memory.keep('exchange', zone.token(fields)),
    exchangeForOneCall: async () =>
      bed.exchange({ subject_token: mandate, subject_token_type: accessTokenType, resource }),
    mintForOneCall: async () => mandateOf(await bed.exchangeForOneCall()),
    startSession: async ({ withMandate = true } = {}) => {
      const started = await zone.coordinator.startSession(
        { zoneId, applicationId, mandate: withMandate },
        outgoing({ bearer: mandate, timeoutMs: 10_000 }),
      );
      const id = started.session?.id ?? '';
      memory.started.push(id);
      return { id, mandate: started.mandate?.token ?? '' };
    },
    endSession: async (session, { waitApplied = true, timeoutMs = 20_000 } = {}) => {
      const ended = await zone.coordinator.endSession(
        { zoneId, sessionId: session.id, reason: 'outage', waitApplied },
        outgoing({ bearer: mandate, timeoutMs }),
      );
      memory.ended.push(session.id);
      return ended.barrier?.applied === true;
    },
    newPath: () => `/reports/${newId()}`,
    [Symbol.asyncDispose]: async () => parts.disposeAsync(),
  };
  return Object.assign(bed, {
    recovered: async () => eventually('recovery', async () => works(bed)),
    settled: async () => memory.settled(),
  });
}

/** Exchange, call, single use, session, its end with barrier. */
async function works(bed: Omit<OutageBed, 'recovered' | 'settled'>): Promise<boolean> {
  const exchanged = await bed.exchange({ resource: bed.zone.facts.resource, scope: 'reports:read' });
  if (exchanged.status !== 200) return false;
  const called = await bed.call(mandateOf(exchanged), { path: bed.newPath() });
  const once = await bed.call(await bed.mintForOneCall(), { kind: 'single_use' });
  if (called.status !== 200 || once.status !== 200) return false;
  const session = await bed.startSession();
  if (!(await bed.endSession(session))) return false;
  const after = await bed.call(session.mandate, { kind: 'session' });
  return after.reason === 'token_revoked';
}

class Memory {
  readonly started: string[] = [];
  readonly ended: string[] = [];
  readonly #sent: Sent[] = [];
  readonly #zone: GovernedZone;

  constructor(zone: GovernedZone) {
    this.#zone = zone;
  }

  async keep(kind: RequestKind, sending: Promise<Seen>): Promise<Seen> {
    const sentAtMs = Date.now();
    const seen = await sending;
    const { requestId, status, reason } = seen;
    this.#sent.push({ requestId, kind, sentAtMs, doneAtMs: Date.now(), status, reason, isAfterBarrier: false });
    return seen;
  }

  async settled(): Promise<void> {
    let judgement: Judgement | undefined;
    await eventually('a ledger that has caught up', async () => {
      judgement = await this.#judge();
      return judgement.missing.length + judgement.lostOutcomes.length === 0;
    }).catch(() => undefined);
    expect(judgement).toEqual({ missing: [], wrong: [], lostOutcomes: [] });
    expect((await verifyChain(this.#zone)).findings).toEqual([]);
  }

  async #judge(): Promise<Judgement> {
    return judgeLedger({
      sent: this.#sent,
      upstream: this.#zone.upstream.seen,
      ledger: await readLedger(this.#zone),
      startedSessions: this.started,
      endedSessions: this.ended,
    });
  }
}
