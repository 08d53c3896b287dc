// Governed traffic over every replica that remembers which key signed each mandate it used: minted at one STS, shown at any
// Gateway, at any STS as a subject, and at the Coordinator. What became of each use is judged by the key's life afterwards.
import { setTimeout as sleep } from 'node:timers/promises';
import { outgoing } from '#mesh/rpc';
import { Failure } from '#mesh/failure';
import { failureFromConnect } from '#mesh/rpc';
import { newId } from '#mesh/ids';
import type { GovernedZone, Seen } from './governed-zone.ts';
import type { ProofInstallation } from './installation.ts';
import { kidOf } from './leaked-key.ts';
import { seededRandom } from './seeded-random.ts';

/** Where a mandate was shown, or minted. */
export type Place = 'mint' | 'gateway' | 'subject' | 'coordinator';

/** One use of a mandate, or one mint. */
export interface KeyUse {
  readonly place: Place;
  /** Which replica: 0 is the first. */
  readonly replica: number;
  /** Of the mandate shown or minted; '' when nothing was minted. */
  readonly kid: string;
  readonly sentAtMs: number;
  readonly doneAtMs: number;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly reason: string;
}

export interface KeyTraffic {
  readonly uses: readonly KeyUse[];
  /** Shows a mandate once more beside the traffic, and remembers it alike. */
  show(place: Exclude<Place, 'mint'>, replica: number, mandate: string): Promise<KeyUse>;
  mint(replica: number): Promise<{ readonly use: KeyUse; readonly mandate: string | undefined }>;
  stop(): Promise<void>;
}

export interface KeyTrafficOptions {
  readonly installation: ProofInstallation;
  readonly zone: GovernedZone;
  readonly connections: number;
  readonly seed: number;
}

/** A few dozen requests a second from each handful of connections: rotations meet them at every step. */
const longestPauseMs = 40;
const subjectType = 'urn:ietf:params:oauth:token-type:access_token';
const scope = 'reports:read agent:lifecycle';

export function startKeyTraffic({ installation, zone, connections, seed }: KeyTrafficOptions): KeyTraffic {
  const gateways = installation.replicaUrls('gateway');
  const stss = installation.replicaUrls('sts');
  const { resource, zoneId } = zone.facts;
  const uses: KeyUse[] = [];
  const stop = new AbortController();

  const remember = async (
    about: Pick<KeyUse, 'place' | 'replica'>,
    send: () => Promise<Pick<Seen, 'status' | 'reason'> & { readonly kid: string }>,
  ): Promise<KeyUse> => {
    const sentAtMs = Date.now();
    const { status, reason, kid } = await send();
    const use = { ...about, kid, sentAtMs, doneAtMs: Date.now(), status, reason };
    uses.push(use);
    return use;
  };

  const mint: KeyTraffic['mint'] = async (replica) => {
    let mandate: string | undefined;
    const use = await remember({ place: 'mint', replica }, async () => {
      const seen = await zone.token({ resource, scope }, newId(), stss[replica] ?? '');
      const token = seen.body['access_token'];
      mandate = typeof token === 'string' ? token : undefined;
      return { ...seen, kid: mandate === undefined ? '' : kidOf(mandate) };
    });
    return { use, mandate };
  };

  const askCoordinator = async (mandate: string): Promise<Pick<Seen, 'status' | 'reason'>> => {
    try {
      await zone.coordinator.listSessions(
        { zoneId },
        outgoing({ bearer: mandate, requestId: newId(), timeoutMs: 10_000 }),
      );
      return { status: 200, reason: 'served' };
    } catch (error) {
      const failure = failureFromConnect(error, { unavailable: 'coordinator_unavailable' });
      return failure instanceof Failure
        ? { status: failure.entry.httpStatus, reason: failure.reason }
        : { status: 0, reason: 'failed' };
    }
  };

  const show: KeyTraffic['show'] = async (place, replica, mandate) =>
    remember({ place, replica }, async () => {
      const kid = kidOf(mandate);
      if (place === 'gateway') return { ...(await zone.call(mandate, { gatewayUrl: gateways[replica] ?? '' })), kid };
      if (place === 'coordinator') return { ...(await askCoordinator(mandate)), kid };
      const fields = { subject_token: mandate, subject_token_type: subjectType, resource };
      return { ...(await zone.token(fields, newId(), stss[replica] ?? '')), kid };
    });

  const connection = async (random: () => number): Promise<void> => {
    const anyOf = (count: number): number => Math.floor(random() * count);
    while (!stop.signal.aborted) {
      const { mandate } = await mint(anyOf(stss.length));
      if (mandate !== undefined) {
        for (let n = 0; n < 3; n += 1) await show('gateway', anyOf(gateways.length), mandate);
        await show('subject', anyOf(stss.length), mandate);
        if (anyOf(4) === 0) await show('coordinator', 0, mandate);
        // Once more after a while, so that a rotation comes between its mint and its use.
        await sleep(random() * 10 * longestPauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
        await show('gateway', anyOf(gateways.length), mandate);
      }
      await sleep(random() * longestPauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  const running = Promise.all(Array.from({ length: connections }, (_, at) => connection(seededRandom(seed + at))));
  return {
    uses,
    mint,
    show,
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}
