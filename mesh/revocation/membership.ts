// This process' row among the enforcement points: the barrier waits for it, and it may serve only while its lease, counted
// from the moment a renewal was sent, has not run out.
import type { Logger } from '#mesh/telemetry';
import type { DisciplinedClock } from '#mesh/time';
import type { StreamPositions } from './positions.ts';

export interface MembershipPort {
  /** Inserts a row for this process under a fresh id. Returns the database's time. */
  readonly register: () => Promise<number>;
  /** False when the row is gone: the barrier no longer waits for this process. */
  readonly renew: (
    applied: number,
    positions: StreamPositions,
  ) => Promise<{ readonly renewed: boolean; readonly databaseTimeMs: number }>;
  /** The row is gone from now on: this process serves nothing any more. */
  readonly leave: () => Promise<void>;
}

export interface MembershipOptions {
  readonly port: MembershipPort;
  readonly applied: () => number;
  /** How far the other streams have come. */
  readonly positions: () => StreamPositions;
  /** Reads the owner anew; needed after the row was gone, before the lease begins again. */
  readonly refresh: () => Promise<void>;
  readonly maxStalenessMs: number;
  readonly clock: DisciplinedClock;
  readonly logger: Pick<Logger, 'warn'>;
}

// authority.md, Barrier: 90 % of the staleness limit, so that a lease ends before the leader may call the row gone.
const LEASE_SHARE = 0.9;
const RENEW_INTERVAL_MS = 1_000;
// Anchors come in bursts (a cascade); one renewal speaks for all that were applied in between.
const COALESCE_MS = 10;
// A renewal that hangs is given up early enough that others fit into the lease.
const RENEW_TIMEOUT_MS = 1_500;
const RETRY_MS = 250;

export class Membership {
  readonly #options: MembershipOptions;
  #leaseUntil = Number.NEGATIVE_INFINITY;
  #isRegistered = false;
  #renewing: Promise<void> | undefined;
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  get holdsLease(): boolean {
    return this.#options.clock.monotonic() < this.#leaseUntil;
  }

  /** The lease is worth nothing until a renewal sent after this call succeeds. */
  distrust(): void {
    this.#leaseUntil = Number.NEGATIVE_INFINITY;
    this.#nextAt = Number.NEGATIVE_INFINITY;
  }

  /** Inserts the row. The first snapshot comes after it, so that no revocation falls between the two. */
  async register(): Promise<void> {
    const { port, clock } = this.#options;
    const sentAt = clock.monotonic();
    clock.observe(await port.register(), sentAt);
    this.#isRegistered = true;
  }

  /** The applied number grew: renew soon. */
  hurry(): void {
    this.#nextAt = Math.min(this.#nextAt, this.#options.clock.monotonic() + COALESCE_MS);
  }

  /** Milliseconds until the next renewal is due. */
  get dueInMs(): number {
    return Math.max(0, this.#nextAt - this.#options.clock.monotonic());
  }

  /** Renews when it is due. Never rejects; callers share one renewal. */
  look(): Promise<void> {
    if (this.#renewing !== undefined) return this.#renewing;
    if (this.dueInMs > 0) return Promise.resolve();
    this.#renewing = this.#renewOrRegister().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOrRegister(): Promise<void> {
    const { clock, logger } = this.#options;
    this.#nextAt = clock.monotonic() + RENEW_INTERVAL_MS;
    try {
      if (!this.#isRegistered) await this.#registerAnew();
      await this.#renew();
    } catch (error) {
      this.#nextAt = Math.min(this.#nextAt, clock.monotonic() + RETRY_MS);
      logger.warn({ error }, 'enforcement point could not be renewed');
    }
  }

  /**
   * Gives the lease up and the row with it, so that no barrier waits for a process that has drained. Never rejects: a row that
   * stays is given up by the leader.
   */
  async leave(): Promise<void> {
    await this.#renewing;
    this.distrust();
    if (!this.#isRegistered) return;
    this.#isRegistered = false;
    try {
      await this.#withinTimeout(this.#options.port.leave());
    } catch (error) {
      this.#options.logger.warn({ error }, 'enforcement point could not leave');
    }
  }

  // While the row was gone, barriers passed without this process: what they waited for is read before it serves again.
  async #registerAnew(): Promise<void> {
    await this.register();
    await this.#options.refresh();
  }

  async #renew(): Promise<void> {
    const { port, applied, positions, clock, maxStalenessMs, logger } = this.#options;
    const sentAt = clock.monotonic();
    const answer = await this.#withinTimeout(port.renew(applied(), positions()));
    clock.observe(answer.databaseTimeMs, sentAt);
    if (answer.renewed) {
      this.#leaseUntil = Math.max(this.#leaseUntil, sentAt + maxStalenessMs * LEASE_SHARE);
      return;
    }
    logger.warn({}, 'enforcement point was counted as gone; registering anew');
    this.#isRegistered = false;
    this.distrust();
  }

  async #withinTimeout<T>(work: Promise<T>): Promise<T> {
    const done = new AbortController();
    const timeout = this.#options.clock.sleep(RENEW_TIMEOUT_MS, done.signal).then(
      () => {
        throw new Error('renewal took too long');
      },
      () => work,
    );
    try {
      return await Promise.race([work, timeout]);
    } finally {
      done.abort();
    }
  }
}
