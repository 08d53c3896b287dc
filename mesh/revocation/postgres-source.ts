// The owner's published functions as this library needs them: a statement per function, rows read into our types.
import type { AnchorKindName } from '#mesh/mandate';
import { int8, type Database } from '#mesh/postgres';
import { streams, type StreamName } from '#mesh/topology';
import type { Anchor } from './anchor.ts';
import type { StreamHead } from './follower.ts';
import type { MembershipPort } from './membership.ts';
import type { RevocationSource } from './view.ts';

interface HeadRow {
  readonly incarnation: string;
  readonly head: string;
  readonly database_time: Date;
}

interface AnchorRow {
  readonly number: string;
  readonly zone_id: string;
  readonly kind: AnchorKindName;
  readonly anchor: string;
  readonly reason: string;
  readonly revoked_at: Date;
}

const readHead = (row: HeadRow): StreamHead => ({
  incarnation: row.incarnation,
  head: int8(row.head),
  databaseTimeMs: row.database_time.getTime(),
});

const readAnchorRow = (row: AnchorRow): Anchor => ({
  number: int8(row.number),
  zoneId: row.zone_id,
  kind: row.kind,
  id: row.anchor,
  reason: row.reason,
  revokedAtMs: row.revoked_at.getTime(),
});

function only<R>(rows: readonly R[]): R {
  const [row] = rows;
  if (row === undefined) throw new Error('the owner answered without a row');
  return row;
}

/** Give it a pool of two connections of its own: waiting behind requests would cost the lease. */
export function createRevocationSource(database: Database): RevocationSource {
  return {
    async head() {
      const rows = await database.query<HeadRow>(
        'SELECT incarnation, head, database_time FROM sts_pub.revocation_head()',
      );
      return readHead(only(rows));
    },
    after: (number, limit) =>
      database.acrossZones(async (tx) => {
        const rows = await tx.query<AnchorRow>(
          'SELECT number, zone_id, kind, anchor, reason, revoked_at FROM sts_pub.all_revocations_after($1, $2)',
          [number, limit],
        );
        return rows.map(readAnchorRow);
      }),
  };
}

export interface EnforcementPointOptions {
  readonly database: Database;
  readonly service: 'gateway' | 'sts';
  /** Shown to whoever waits at the barrier. */
  readonly replica: string;
  readonly newId: () => string;
}

/** A row per registration: one that was counted as gone is never revived. */
export function createEnforcementPoint(options: EnforcementPointOptions): MembershipPort {
  const { database, service, replica, newId } = options;
  let id = newId();
  return {
    async register() {
      id = newId();
      const rows = await database.query<{ readonly database_time: Date }>(
        'SELECT sts_pub.register_point($1, $2, $3) AS database_time',
        [id, service, replica],
      );
      return only(rows).database_time.getTime();
    },
    async renew(applied, positions) {
      const rows = await database.query<{ readonly renewed: boolean; readonly database_time: Date }>(
        'SELECT renewed, database_time FROM sts_pub.report_point($1, $2, $3)',
        [id, applied, JSON.stringify(positions)],
      );
      const { renewed, database_time } = only(rows);
      return { renewed, databaseTimeMs: database_time.getTime() };
    },
    async leave() {
      await database.query('SELECT sts_pub.leave_point($1)', [id]);
    },
  };
}

/** The head of an invalidation stream as its owner publishes it. */
export function readStreamHead(database: Database, stream: StreamName): () => Promise<StreamHead> {
  const { owner } = streams[stream];
  return async () => {
    const rows = await database.query<HeadRow>(
      `SELECT incarnation, head, database_time FROM ${owner}_pub.stream_heads() WHERE stream = $1`,
      [stream],
    );
    return readHead(only(rows));
  };
}

export interface BarrierState {
  /** Enforcement points that are not gone. */
  readonly points: number;
  /** Those of them that have not applied the number. */
  readonly waiting: number;
  readonly gone: number;
  readonly missing: readonly string[];
}

/** Who has applied a revocation. Wait for the notification channel `caracal_points` between two looks. */
export async function readBarrier(database: Database, number: number): Promise<BarrierState> {
  const rows = await database.query<BarrierState>('SELECT points, waiting, gone, missing FROM sts_pub.barrier($1)', [
    number,
  ]);
  return only(rows);
}

/** A number of an invalidation stream, as the incarnation that gave it counts. */
export interface StreamNumber {
  readonly stream: StreamName;
  readonly incarnation: string;
  /** 0 is applied everywhere. */
  readonly number: number;
}

/** Who has applied a number of an invalidation stream. */
export async function readPropagation(
  database: Database,
  { stream, incarnation, number }: StreamNumber,
): Promise<Omit<BarrierState, 'gone'>> {
  const rows = await database.query<Omit<BarrierState, 'gone'>>(
    'SELECT points, waiting, missing FROM sts_pub.propagation($1, $2, $3)',
    [stream, incarnation, number],
  );
  return only(rows);
}

/** The highest number given to a revocation. */
export async function readRevocationHead(database: Database): Promise<number> {
  const rows = await database.query<{ readonly head: string }>('SELECT head FROM sts_pub.revocation_head()');
  return int8(only(rows).head);
}
