// Governed traffic over every replica that remembers which key signed each mandate it used: minted at one STS, shown at any
// Gateway, at any STS as a subject, and at the Coordinator. What became of each use is judged by the key's life afterwards.
import { setTimeout as sleep } from 'node:timers/promises';
import { failureFromConnect, outgoing } from '#mesh/rpc';
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

interface Uses {
  readonly all: KeyUse[];
  remember(
    about: Pick<KeyUse, 'place' | 'replica'>,
    send: () => Promise<Answer & { readonly kid: string }>,
  ): Promise<KeyUse>;
}

type Answer = Pick<Seen, 'status' | 'reason'>;

function createUses(): Uses {
  const all: KeyUse[] = [];
  return {
    all,
    async remember(about, send) {
      const sentAtMs = Date.now();
      const { status, reason, kid } = await send();
      const use = { ...about, kid, sentAtMs, doneAtMs: Date.now(), status, reason };
      all.push(use);
      return use;
    },
  };
}

async function askCoordinator({ coordinator, facts: { zoneId } }: GovernedZone, mandate: string): Promise<Answer> {
  try {
    await coordinator.listSessions({ zoneId }, outgoing({ bearer: mandate, requestId: newId(), timeoutMs: 10_000 }));
    return { status: 200, reason: 'served' };
  } catch (error) {
    const { entry, reason } = failureFromConnect(error, { unavailable: 'internal_error' });
    return { status: entry.httpStatus, reason };
  }
}

/** Showing a mandate at each place, and minting one, each remembered. */
function createClients({ installation, zone }: KeyTrafficOptions, uses: Uses): Pick<KeyTraffic, 'mint' | 'show'> {
  const [gateways, stss] = [installation.replicaUrls('gateway'), installation.replicaUrls('sts')];
  const { resource } = zone.facts;
  const ask = async (place: Place, replica: number, mandate: string): Promise<Answer> => {
    if (place === 'gateway') return zone.call(mandate, { gatewayUrl: gateways[replica] ?? '' });
    if (place === 'coordinator') return askCoordinator(zone, mandate);
    const fields = { subject_token: mandate, subject_token_type: subjectType, resource };
    return zone.token(fields, newId(), stss[replica] ?? '');
  };
  return {
    show: async (place, replica, mandate) =>
      uses.remember({ place, replica }, async () => ({ ...(await ask(place, replica, mandate)), kid: kidOf(mandate) })),
    mint: async (replica) => {
      let mandate: string | undefined;
      const use = await uses.remember({ place: 'mint', replica }, async () => {
        const seen = await zone.token({ resource, scope }, newId(), stss[replica] ?? '');
        const token = seen.body['access_token'];
        mandate = typeof token === 'string' ? token : undefined;
        return { ...seen, kid: mandate === undefined ? '' : kidOf(mandate) };
      });
      return { use, mandate };
    },
  };
}

export function startKeyTraffic(options: KeyTrafficOptions): KeyTraffic {
  const { installation, connections, seed } = options;
  const [gateways, stss] = [installation.replicaUrls('gateway').length, installation.replicaUrls('sts').length];
  const uses = createUses();
  const { mint, show } = createClients(options, uses);
  const stop = new AbortController();

  const pause = async (milliseconds: number): Promise<void> =>
    sleep(milliseconds, undefined, { signal: stop.signal }).catch(() => undefined);
  const once = async (random: () => number): Promise<void> => {
    const anyOf = (count: number): number => Math.floor(random() * count);
    const { mandate } = await mint(anyOf(stss));
    if (mandate === undefined) return;
    for (let n = 0; n < 3; n += 1) await show('gateway', anyOf(gateways), mandate);
    await show('subject', anyOf(stss), mandate);
    if (anyOf(4) === 0) await show('coordinator', 0, mandate);
    // Once more after a while, so that a rotation comes between its mint and its use.
    await pause(random() * 10 * longestPauseMs);
    await show('gateway', anyOf(gateways), mandate);
  };
  const connection = async (random: () => number): Promise<void> => {
    while (!stop.signal.aborted) {
      await once(random);
      await pause(random() * longestPauseMs);
    }
  };
  const running = Promise.all(Array.from({ length: connections }, (_, at) => connection(seededRandom(seed + at))));
  return {
    uses: uses.all,
    mint,
    show,
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}
