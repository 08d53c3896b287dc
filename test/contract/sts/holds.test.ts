import pg from 'pg';
import { randomBytes } from 'node:crypto';
import { describe } from 'vitest';
import { knownId, newId } from '#mesh/ids';
import type { ZoneId } from '#mesh/ids';
import { createPool } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { ManualClock } from '#mesh/time';
import { createHoldsMemory } from '../../../services/sts/outbound/memory/holds-memory.ts';
import type { DecisionOutcome } from '../../../services/sts/outbound/memory/holds-memory.ts';
import { createHoldsPostgres } from '../../../services/sts/outbound/postgres/holds-postgres.ts';
import { shareByZone } from '../../../services/sts/outbound/postgres/zone-shares.ts';
import { disposableDatabase } from '../../support/database.ts';
import { holdsContract } from './holds-contract.ts';
import type { HoldsWorld } from './holds-contract.ts';

async function memoryWorld(): Promise<HoldsWorld> {
  const store = createHoldsMemory(new ManualClock(Date.UTC(2026, 10, 1)), newId);
  return {
    store,
    zoneId: newId(),
    otherZoneId: newId(),
    decide: async (id, decision, approver) => store.decide(id, decision, approver),
    outlive: async (id) => store.outlive(id),
    sweep: async () => store.sweep(),
    events: async (id) => store.events.filter(({ approvalId }) => approvalId === id).map(({ eventType }) => eventType),
    largestEvent: async () => 0,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Two replicas of the STS that take turns, and the API that decides: each under its own role. */
async function postgresWorld(): Promise<HoldsWorld> {
  const stack = new AsyncDisposableStack();
  const database = stack.use(await disposableDatabase());
  const pool = (service: 'sts' | 'api') =>
    stack.use(createPool({ service, connectionString: database.urls[service], max: 4, logger: silentLogger }));
  const sts = pool('sts');
  const replicas = [sts, pool('sts')].map((own) => createHoldsPostgres({ shares: shareByZone(own, 4), newId }));
  let turn = 0;
  const replica = (): (typeof replicas)[number] => {
    turn += 1;
    const next = replicas[turn % replicas.length];
    if (!next) throw new Error('no replica');
    return next;
  };
  const api = pool('api');
  const administrator = new pg.Client({ connectionString: database.administratorUrl });
  await administrator.connect();
  stack.defer(async () => administrator.end());
  const zones = [newId(), newId()] as const;
  for (const zoneId of zones) {
    await administrator.query("INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, 'zone', $2, $3)", [
      zoneId,
      `z-${zoneId}`,
      randomBytes(32),
    ]);
  }
  const [zoneId, otherZoneId] = zones;
  return {
    store: {
      raise: async (hold) => replica().raise(hold),
      look: async (presented) => replica().look(presented),
      spend: async (presented) => replica().spend(presented),
      findSpent: async (...of) => replica().findSpent(...of),
      status: async (...of) => replica().status(...of),
    },
    zoneId,
    otherZoneId,
    decide: async (id, decision, approver) =>
      api.inZone(knownId<ZoneId>(zoneId), async (tx) => {
        const row = await tx.one<{ outcome: DecisionOutcome }>(
          'SELECT sts_pub.decide_approval($1, $2, $3, $4, $5, $6) AS outcome',
          [zoneId, id, decision, approver, newId(), null],
        );
        if (!row) throw new Error('no outcome');
        return row.outcome;
      }),
    outlive: async (id) => {
      await administrator.query(
        `UPDATE sts.approvals SET created_at = created_at - interval '10 min', expires_at = expires_at - interval '10 min'
          WHERE id = $1`,
        [id],
      );
    },
    sweep: async () => {
      const [row] = await sts.query<{ dealt: number }>('SELECT sts.sweep_approvals(100) AS dealt');
      return row?.dealt ?? 0;
    },
    events: async (id) => {
      const { rows } = await administrator.query<{ type: string }>(
        `SELECT payload ->> 'eventType' AS type FROM sts.outbox
          WHERE payload -> 'metadata' ->> 'approval_id' = $1 ORDER BY ordinal`,
        [id],
      );
      return rows.map(({ type }) => type);
    },
    largestEvent: async () => {
      const { rows } = await administrator.query<{ bytes: number }>(
        'SELECT max(octet_length(payload::text)) AS bytes FROM sts.outbox',
      );
      return rows[0]?.bytes ?? 0;
    },
    [Symbol.asyncDispose]: async () => stack.disposeAsync(),
  };
}

describe('in memory', () => holdsContract(memoryWorld));
describe('on Postgres, over two replicas', () => holdsContract(postgresWorld));
