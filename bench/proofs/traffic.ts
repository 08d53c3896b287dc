// Governed traffic that goes on whatever happens, and remembers what its clients saw: allowed and refused calls, single-use
// mandates and their replays, exchanges. Several connections, each with its next request when the last one is answered.
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '#mesh/ids';
import type { GovernedZone, Seen } from './governed-zone.ts';
import { seededRandom } from './seeded-random.ts';

export type RequestKind = 'read' | 'write' | 'undeclared' | 'beyond' | 'session' | 'exchange' | 'single_use' | 'replay';

/** A request and what became of it. */
export interface Sent {
  readonly requestId: string;
  readonly kind: RequestKind;
  readonly sentAtMs: number;
  readonly doneAtMs: number;
  readonly status: number;
  readonly reason: string;
  /** When the mandate's revocation had been confirmed as applied before this was sent. */
  readonly isAfterBarrier: boolean;
}

export interface TrafficOptions {
  readonly zone: GovernedZone;
  readonly connections: number;
  readonly seed: number;
  /** Of the application, reading and writing; lives longer than the traffic. */
  readonly mandate: string;
}

export interface Traffic {
  readonly sent: readonly Sent[];
  /** Calls of kind `session` use this mandate from now on. */
  useSession(mandate: string): void;
  /** The barrier of this session's end has returned. */
  sessionEnded(mandate: string): void;
  /** Sends one more request beside the traffic and remembers it alike. */
  sendOne(kind: 'read' | 'session', mandate: string): Promise<Seen>;
  stop(): Promise<void>;
}

/** Some dozens of requests a second from a handful of connections: load enough for races, not for a queue. */
const longestPauseMs = 120;
const kinds: readonly RequestKind[] = [
  ...(['read', 'read', 'write', 'undeclared', 'beyond'] as const),
  ...(['session', 'session', 'single_use'] as const),
];

export function startTraffic(options: TrafficOptions): Traffic {
  const { zone, connections, seed, mandate } = options;
  const sent: Sent[] = [];
  const ended = new Set<string>();
  const stop = new AbortController();
  let session: string | undefined;

  const remember = async (kind: RequestKind, used: string, send: () => Promise<Seen>): Promise<Seen> => {
    const isAfterBarrier = ended.has(used);
    const sentAtMs = Date.now();
    const seen = await send();
    const { requestId, status, reason } = seen;
    sent.push({ requestId, kind, sentAtMs, doneAtMs: Date.now(), status, reason, isAfterBarrier });
    return seen;
  };
  const singleUse = async (): Promise<void> => {
    const exchange = { subject_token: mandate, subject_token_type: accessTokenType, resource: zone.facts.resource };
    const minted = await remember('exchange', mandate, async () => zone.token(exchange));
    const token = minted.body['access_token'];
    if (typeof token !== 'string') return;
    const first = await remember('single_use', token, async () => zone.call(token));
    // Where the answer was lost nobody knows whether it was used; then a second showing proves nothing.
    if (first.status === 200) await remember('replay', token, async () => zone.call(token));
  };
  const once = async (kind: RequestKind): Promise<void> => {
    if (kind === 'single_use') return singleUse();
    const used = kind === 'session' ? session : mandate;
    if (used === undefined) return;
    await remember(kind, used, async () => zone.call(used, { requestId: newId(), ...operations[kind] }));
  };
  const connection = async (random: () => number): Promise<void> => {
    while (!stop.signal.aborted) {
      await once(kinds[Math.floor(random() * kinds.length)] ?? 'read');
      await sleep(random() * longestPauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  const running = Promise.all(Array.from({ length: connections }, (_, at) => connection(seededRandom(seed + at))));
  return {
    sent,
    useSession: (next) => (session = next),
    sessionEnded: (which) => void ended.add(which),
    sendOne: async (kind, used) => remember(kind, used, async () => zone.call(used, operations[kind])),
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

const operations: Readonly<Record<RequestKind, { method?: 'POST' | 'DELETE'; path?: string }>> = {
  read: { path: '/reports/1' },
  write: { method: 'POST', path: '/reports' },
  undeclared: { path: '/elsewhere' },
  // The mandate does not carry the scope of this operation.
  beyond: { method: 'DELETE', path: '/reports/1' },
  session: { path: '/reports/2' },
  exchange: {},
  single_use: {},
  replay: {},
};
