// The leader's rounds: batch after batch until nothing is left, a bounded number of them, and only while it leads.
import { describe, expect, it } from 'vitest';
import { ManualClock } from '#mesh/time';
import { createSealedValuesMemory } from '../outbound/memory/sealed-values-memory.ts';
import { createVaultMemory } from '../outbound/memory/vault-memory.ts';
import type { Housekeeping } from '../ports/housekeeping.ts';
import { keepHouse } from './keep-house.ts';

const [current, previous] = ['0a'.repeat(8), '0b'.repeat(8)] as const;
const column = { table: 'sts.zone_keys', column: 'envelope' };

function setUp(options: { isKekRotating?: boolean; records?: number; leads?: boolean } = {}) {
  const clock = new ManualClock();
  const world = { records: options.records ?? 0, leads: options.leads ?? true, ended: 0 };
  const calls: string[] = [];
  const troubles: unknown[] = [];
  const counts: number[] = [];
  const house: Housekeeping = {
    settleEndedKeys: async () => {
      calls.push('keys');
      return 0;
    },
    purgeSessionRecords: async (limit) => {
      calls.push('records');
      const gone = Math.min(limit, world.records);
      world.records -= gone;
      return gone;
    },
    sweepApprovals: async () => 0,
    pruneRevocations: async () => {
      calls.push('anchors');
      return 0;
    },
    [Symbol.asyncDispose]: async () => {
      world.ended += 1;
    },
  };
  const sealedValues = createSealedValuesMemory([column]);
  const stop = new AbortController();
  const running = keepHouse(
    {
      housekeeping: { lead: async () => (world.leads ? house : undefined) },
      sealedValues,
      vault: createVaultMemory(current),
      isKekRotating: options.isKekRotating ?? false,
      onUnderPreviousKey: (count) => counts.push(count),
      clock,
      onTrouble: (error) => troubles.push(error),
    },
    stop.signal,
  );
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(0);
    await running;
  };
  return { clock, world, calls, troubles, counts, house, sealedValues, end };
}

describe('housekeeping', () => {
  it('works each kind off in batches, and leaves a long backlog for the next rounds', async () => {
    const { clock, world, calls, end } = setUp({ records: 10_600 });
    await clock.advance(0);
    expect(world.records).toBe(600);
    await clock.advance(10_000);
    expect(world.records).toBe(0);
    expect(calls.filter((call) => call === 'keys')).toHaveLength(2);
    expect(calls.filter((call) => call === 'anchors')).toHaveLength(2);
    await end();
  });

  it('does nothing while another leads, and takes over when it may', async () => {
    const { clock, world, calls, end } = setUp({ leads: false });
    await clock.advance(30_000);
    expect(calls).toEqual([]);
    world.leads = true;
    await clock.advance(10_000);
    expect(calls.length).toBeGreaterThan(0);
    await end();
    expect(world.ended).toBe(1);
  });

  it('gives the lead up when a chore fails, and tries again', async () => {
    const { clock, world, calls, troubles, house, end } = setUp();
    const works = house.settleEndedKeys;
    house.settleEndedKeys = async () => {
      throw new Error('away');
    };
    await clock.advance(10_000);
    expect([troubles.length > 0, world.ended > 0, calls]).toEqual([true, true, []]);
    house.settleEndedKeys = works;
    await clock.advance(10_000);
    expect(calls).toContain('anchors');
    await end();
  });

  it('counts what the present key does not open each minute, while another is accepted', async () => {
    const { clock, counts, sealedValues, end } = setUp({ isKekRotating: true });
    const at = (rowId: string) => ({ ...column, rowId });
    const put = (keyId: string, zone: string, row: string): void =>
      sealedValues.put(zone, at(row), createVaultMemory(keyId).seal(new Uint8Array(), at(row)));
    put(previous, 'z1', 'a');
    put(previous, 'z2', 'b');
    put(current, 'z2', 'c');
    await clock.advance(60_000);
    expect(counts.at(-1)).toBe(2);
    put(current, 'z1', 'a');
    await clock.advance(60_000);
    expect(counts.at(-1)).toBe(1);
    expect(counts.length).toBeLessThanOrEqual(4);
    await end();
    const idle = setUp();
    await idle.clock.advance(120_000);
    expect(idle.counts).toEqual([]);
    await idle.end();
  });
});
