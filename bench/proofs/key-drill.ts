// Rotations of every kind under load, on an installation of several replicas: in what time each knows, whether anything valid
// was refused on the way, and whether anything that a retired key signed got through.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '#mesh/ids';
import { request } from 'undici';
import type { GovernedZone, Seen } from './governed-zone.ts';
import type { ProofInstallation } from './installation.ts';
import { judgeKeys, type KeyJudgement, type KeyLife } from './judge-keys.ts';
import { startKeyTraffic, type KeyTraffic, type KeyUse } from './key-traffic.ts';
import { stealKey, type LeakedKey } from './leaked-key.ts';
import { restart, rotateSharedKeys } from './fleet-keys.ts';

export interface KeyDrillOptions {
  readonly installation: ProofInstallation;
  readonly zone: GovernedZone;
  readonly seed: number;
  readonly connections: number;
}

export type RotationKind = 'plain' | 'overlapping' | 'leaked key' | 'another KEK' | 'shared keys';

/** One rotation as it was seen. */
export interface KeyRow {
  readonly kind: RotationKind;
  /** From the request until every replica had confirmed that it knows. */
  readonly appliedMs: number;
  /** From its first moment as the signing key until every STS had minted with it. */
  readonly signingMs: number;
  readonly served: number;
  readonly refused: number;
  readonly unavailable: number;
}

export interface KeyDrillEnd {
  readonly judgement: KeyJudgement;
  /** What the drill asked on purpose and should have been answered otherwise. */
  readonly problems: readonly string[];
  readonly uses: readonly KeyUse[];
}

export interface KeyDrill {
  rotate(kind: RotationKind): Promise<KeyRow>;
  finish(): Promise<KeyDrillEnd>;
}

/** Published so long before it signs; the drill's API is told so. */
export const leadSeconds = 2;
const ceilingMs = 90_000;
const pauseMs = 20;
/** Larger than any number given: who has the key claims to have been issued after every revocation. */
const highestRev = Number.MAX_SAFE_INTEGER;

export function startKeyDrill(options: KeyDrillOptions): KeyDrill {
  const drill = new Drill(options);
  return { rotate: async (kind) => drill.rotate(kind), finish: async () => drill.finish() };
}

interface Rotated {
  readonly kid: string;
  readonly signsFromMs: number;
  readonly appliedMs: number;
}

class Drill {
  readonly #options: KeyDrillOptions;
  readonly #traffic: KeyTraffic;
  readonly #lives = new Map<string, KeyLife>();
  readonly #problems: string[] = [];
  #kek: string;

  constructor(options: KeyDrillOptions) {
    this.#options = options;
    this.#traffic = startKeyTraffic(options);
    this.#kek = options.installation.stack.secrets.zoneKek;
  }

  async rotate(kind: RotationKind): Promise<KeyRow> {
    await sleep(10 * pauseMs);
    const before = this.#traffic.uses.length;
    const { appliedMs, signingMs } = await this.#rotation(kind);
    const judged = judgeKeys(this.#traffic.uses.slice(before), [...this.#lives.values()]);
    const { served, refused, unavailable } = judged;
    return { kind, appliedMs, signingMs, served, refused, unavailable };
  }

  async #rotation(kind: RotationKind): Promise<{ appliedMs: number; signingMs: number }> {
    switch (kind) {
      case 'plain':
        return this.#plain(1);
      case 'overlapping':
        return this.#plain(2);
      case 'leaked key':
        return this.#leaked();
      case 'another KEK':
        return this.#anotherKek();
      case 'shared keys':
        return this.#sharedKeys();
    }
  }

  async finish(): Promise<KeyDrillEnd> {
    await sleep(10 * pauseMs);
    await this.#traffic.stop();
    const { uses } = this.#traffic;
    return { judgement: judgeKeys(uses, [...this.#lives.values()]), problems: this.#problems, uses };
  }

  /** So many rotations at once: the next is asked for while the one before is published only. */
  async #plain(count: number): Promise<{ appliedMs: number; signingMs: number }> {
    const rotated: Rotated[] = [];
    for (let n = 0; n < count; n += 1) rotated.push(await this.#ask({ reason: 'drill' }));
    for (const { kid } of rotated) await this.#expectInEveryJwks(kid, true);
    const last = rotated.at(-1);
    if (last === undefined) throw new RangeError('a rotation is at least one');
    await sleep(Math.max(0, last.signsFromMs - Date.now()));
    await this.#untilEverySigns(last.kid);
    return {
      appliedMs: Math.max(...rotated.map(({ appliedMs }) => appliedMs)),
      signingMs: Date.now() - last.signsFromMs,
    };
  }

  async #leaked(): Promise<{ appliedMs: number; signingMs: number }> {
    const { installation, zone } = this.#options;
    const { zoneId } = zone.facts;
    const databaseUrl = installation.stack.addresses.databaseUrls.sts;
    const leaked = await stealKey({ databaseUrl, zoneKek: this.#kek, zoneId });
    const genuine = await this.#mintWith(leaked.kid);
    const forgeNow = (): string => leaked.forge(genuine, { rev: highestRev, jti: newId() });
    const shownBefore = forgeNow();
    for (const place of this.#gateways()) {
      const { status } = await this.#traffic.show('gateway', place, shownBefore);
      if (status !== 200) this.#problems.push(`a forgery is not even taken before the end of its key: ${status}`);
    }
    const askedAtMs = Date.now();
    const replaced = await this.#ask({ retire_previous: true, reason: 'drill: leaked' });
    const appliedAtMs = Date.now();
    for (const kid of replaced.retired) this.#retire(kid, { askedAtMs, appliedAtMs });
    if (!replaced.retired.includes(leaked.kid)) this.#problems.push('the leaked key was not retired');
    await this.#expectRefusedEverywhere([genuine, shownBefore, forgeNow()], leaked);
    await this.#expectInEveryJwks(leaked.kid, false);
    await this.#expectInEveryJwks(replaced.kid, true);
    await this.#untilEverySigns(replaced.kid);
    return { appliedMs: replaced.appliedMs, signingMs: Date.now() - appliedAtMs };
  }

  #retire(kid: string, retiring: KeyLife['retiring']): void {
    this.#lives.set(kid, { ...(this.#lives.get(kid) ?? { kid }), retiring });
  }

  async #mintWith(kid: string): Promise<string> {
    return this.#eventually('a mint with the key that signs', async () => {
      const { use, mandate } = await this.#traffic.mint(0);
      return use.kid === kid ? mandate : undefined;
    });
  }

  async #expectRefusedEverywhere(mandates: readonly string[], { kid }: LeakedKey): Promise<void> {
    const stss = this.#options.installation.replicaUrls('sts').keys();
    const places = [
      ...[...this.#gateways()].map((replica) => ['gateway', replica] as const),
      ...[...stss].map((replica) => ['subject', replica] as const),
      ['coordinator', 0] as const,
    ];
    for (const mandate of mandates) {
      for (const [place, replica] of places) {
        const { status, reason } = await this.#traffic.show(place, replica, mandate);
        if (status === 401 || status === 400) continue;
        this.#problems.push(`${place} ${replica + 1} answered ${status} ${reason} to the retired key ${kid}`);
      }
    }
  }

  /**
   * ZONE_KEK is replaced the way an operator does it: first every STS is told of the next key, then every STS seals under it,
   * then everything is sealed anew, and then the one before is forgotten.
   */
  async #anotherKek(): Promise<{ appliedMs: number; signingMs: number }> {
    const { installation, zone } = this.#options;
    const [before, after] = [this.#kek, randomBytes(32).toString('hex')];
    const startedMs = Date.now();
    await restart(installation, 'sts', { ZONE_KEK: before, ZONE_KEK_PREVIOUS: after });
    await restart(installation, 'sts', { ZONE_KEK: after, ZONE_KEK_PREVIOUS: before });
    const report = await zone.admin('POST', '/secrets/reseal', {});
    if (report.status !== 200 || report.body['failed'] !== 0 || report.body['done'] !== true) {
      this.#problems.push(`the re-seal ended with ${JSON.stringify(report.body)}`);
    }
    const again = await zone.admin('POST', '/secrets/reseal', {});
    if (again.body['resealed'] !== 0) this.#problems.push('a second re-seal found something to do');
    const appliedMs = Date.now() - startedMs;
    await restart(installation, 'sts', { ZONE_KEK: after, ZONE_KEK_PREVIOUS: undefined });
    this.#kek = after;
    const forgottenMs = Date.now();
    for (const replica of installation.replicaUrls('sts').keys()) {
      await this.#eventually('a mint after the rotation', async () => (await this.#traffic.mint(replica)).mandate);
    }
    return { appliedMs, signingMs: Date.now() - forgottenMs };
  }

  async #sharedKeys(): Promise<{ appliedMs: number; signingMs: number }> {
    const { installation, zone } = this.#options;
    const startedMs = Date.now();
    this.#problems.push(...(await rotateSharedKeys(installation, zone)));
    return { appliedMs: Date.now() - startedMs, signingMs: 0 };
  }

  async #ask(body: object): Promise<Rotated & { retired: readonly string[] }> {
    const { zone } = this.#options;
    const path = `/zones/${zone.facts.zoneId}/keys/rotate?wait=applied&timeout_ms=20000`;
    const startedMs = Date.now();
    const seen: Seen = await zone.admin('POST', path, body);
    if (seen.status !== 201 || seen.body['applied'] !== true) {
      throw new Error(`a rotation was answered ${seen.status} ${JSON.stringify(seen.body)}`);
    }
    const kid = String(seen.body['id']);
    const signsFromMs = Date.parse(String(seen.body['signs_from']));
    this.#lives.set(kid, { kid, signsFromMs });
    const retired = (seen.body['retired'] ?? []) as string[];
    return { kid, signsFromMs, appliedMs: Date.now() - startedMs, retired };
  }

  async #expectInEveryJwks(kid: string, expected: boolean): Promise<void> {
    const { installation, zone } = this.#options;
    for (const [replica, url] of installation.replicaUrls('sts').entries()) {
      const { dispatcher, facts } = zone;
      const answer = await request(`${url}/zones/${facts.zoneId}/.well-known/jwks.json`, { dispatcher });
      const { keys } = (await answer.body.json()) as { keys: { kid: string }[] };
      const isIn = keys.some((key) => key.kid === kid);
      if (isIn !== expected)
        this.#problems.push(`STS ${replica + 1} ${isIn ? 'shows' : 'does not show'} ${kid} in JWKS`);
    }
  }

  /** Until every STS mints with the key, and every Gateway has served one of those mandates. */
  async #untilEverySigns(kid: string): Promise<void> {
    for (const replica of this.#options.installation.replicaUrls('sts').keys()) {
      await this.#eventually(`a mint of STS ${replica + 1} with ${kid}`, async () => {
        const { use, mandate } = await this.#traffic.mint(replica);
        if (use.kid !== kid || mandate === undefined) return undefined;
        for (const gateway of this.#gateways()) await this.#traffic.show('gateway', gateway, mandate);
        return mandate;
      });
    }
  }

  #gateways(): Iterable<number> {
    return this.#options.installation.replicaUrls('gateway').keys();
  }

  async #eventually<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const untilMs = performance.now() + ceilingMs;
    for (;;) {
      const found = await attempt();
      if (found !== undefined) return found;
      if (performance.now() > untilMs) throw new Error(`${what} did not come within ${ceilingMs} ms`);
      await sleep(pauseMs);
    }
  }
}

export const keyColumns = ['rotation', 'applied ms', 'signing ms', 'served', 'refused', 'unavailable'] as const;

/** The cells of a row under `keyColumns`. */
export function keyRow({ kind, appliedMs, signingMs, served, refused, unavailable }: KeyRow): (string | number)[] {
  return [kind, Math.round(appliedMs), Math.round(signingMs), served, refused, unavailable];
}

/** Everything that keeps the drill from being a pass. */
export function keyProblems({ judgement, problems }: KeyDrillEnd): string[] {
  return [
    ...judgement.failed.map((what) => `valid and refused: ${what}`),
    ...judgement.accepted.map((what) => `retired and accepted: ${what}`),
    ...judgement.early.map((what) => `signed too early: ${what}`),
    ...problems,
  ];
}
