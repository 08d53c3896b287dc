/** The STS as an enforcement point sees it, in memory: anchors, head, heartbeats, its row, each of which a test can break. */
import type { Anchor, MembershipPort, OpenTail, RevocationSource, StreamHead, TailHandlers } from '#mesh/revocation';
import type { ManualClock } from '#mesh/time';

const ANCHOR_KINDS = {
  session: 'ANCHOR_KIND_SESSION',
  agent_session: 'ANCHOR_KIND_AGENT_SESSION',
  edge: 'ANCHOR_KIND_EDGE',
  jti: 'ANCHOR_KIND_JTI',
  application: 'ANCHOR_KIND_APPLICATION',
  subject: 'ANCHOR_KIND_SUBJECT',
  zone_key: 'ANCHOR_KIND_ZONE_KEY',
  zone: 'ANCHOR_KIND_ZONE',
} as const;

export interface RevocationOwner {
  readonly source: RevocationSource;
  readonly membership: MembershipPort;
  readonly openTail: OpenTail;
  /** Every call to the database in order: register, renew, head, after. */
  readonly calls: string[];
  incarnation: string;
  isDatabaseAway: boolean;
  isRowGone: boolean;
  /** Commits an anchor; it travels only when published. */
  revoke(id: string, kind?: Anchor['kind']): Anchor;
  publish(anchor: Anchor, issuedAt?: number): void;
  beat(overrides?: Partial<Record<'head' | 'unpublishedMs' | 'databaseTimeMs' | 'issuedAt', number>>): void;
  /** Any entry at all, as if its signature had verified. */
  deliver(fields: Readonly<Record<string, string>>, issuedAt?: number): void;
  /** A turn of the reader without an entry, and one after which it has lost its place. */
  turn(): void;
  forget(): void;
  head(): number;
}

export function revocationOwner(clock: ManualClock, zoneId: string): RevocationOwner {
  const anchors: Anchor[] = [];
  const calls: string[] = [];
  let handlers: TailHandlers | undefined;
  let entries = 0;
  // A row of the database is read a little later than the call is made.
  const database = async <T>(name: string, answer: () => T): Promise<T> => {
    calls.push(name);
    await Promise.resolve();
    if (owner.isDatabaseAway) throw new Error('database away');
    return answer();
  };
  const readHead = (): StreamHead => ({
    incarnation: owner.incarnation,
    head: anchors.at(-1)?.number ?? 0,
    databaseTimeMs: clock.now(),
  });
  const owner: RevocationOwner = {
    calls,
    incarnation: 'i-1',
    isDatabaseAway: false,
    isRowGone: false,
    source: {
      head: () => database('head', readHead),
      after: (number, limit) =>
        database(`after ${number}`, () => anchors.filter((anchor) => anchor.number > number).slice(0, limit)),
    },
    membership: {
      register: () =>
        database('register', () => {
          owner.isRowGone = false;
          return clock.now();
        }),
      renew: (applied) =>
        database(`renew ${applied}`, () => ({ renewed: !owner.isRowGone, databaseTimeMs: clock.now() })),
      leave: () =>
        database('leave', () => {
          owner.isRowGone = true;
        }),
    },
    openTail(_stream, given) {
      handlers = given;
      return { [Symbol.asyncDispose]: () => Promise.resolve() };
    },
    revoke(id, kind = 'session') {
      const number = (anchors.at(-1)?.number ?? 0) + 1;
      const anchor: Anchor = { number, zoneId, kind, id, reason: 'test', revokedAtMs: clock.now() };
      anchors.push(anchor);
      return anchor;
    },
    publish(anchor, issuedAt = clock.monotonic()) {
      const { number, kind, id, reason, revokedAtMs } = anchor;
      const data = JSON.stringify({
        number: String(number),
        zoneId: anchor.zoneId,
        kind: ANCHOR_KINDS[kind],
        anchor: id,
        reason,
        revokedAt: new Date(revokedAtMs).toISOString(),
      });
      owner.deliver({ incarnation: owner.incarnation, number: String(number), data }, issuedAt);
    },
    beat({ head, unpublishedMs = 0, databaseTimeMs, issuedAt } = {}) {
      const data = JSON.stringify({
        incarnation: owner.incarnation,
        beat: '1',
        head: String(head ?? owner.head()),
        unpublishedMs: String(unpublishedMs),
        databaseTime: new Date(databaseTimeMs ?? clock.now()).toISOString(),
      });
      owner.deliver({ hb: '1', data }, issuedAt);
    },
    deliver(fields, issuedAt = clock.monotonic()) {
      entries += 1;
      const entry = { stream: 'caracal.sessions.revoke' as const, id: `${entries}-0`, fields };
      handlers?.onEntry(entry, { issuedAtMonotonicMs: issuedAt, reachedEnd: true });
    },
    turn: () => handlers?.onTurn(),
    forget: () => handlers?.onForgotten(),
    head: () => anchors.at(-1)?.number ?? 0,
  };
  return owner;
}
