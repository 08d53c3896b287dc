import { describe, expect, it } from 'vitest';
import { createZoneTurns, type Leave, type ZoneTurns } from './zone-turns.ts';

function setUp(places: number, perZone: number) {
  const turns = createZoneTurns({ places, perZone, maxWaiting: 20, maxWaitingPerZone: 8 });
  const order: string[] = [];
  const leaves: Leave[] = [];
  const enter = async (zoneId: string): Promise<void> => {
    const leave = await turns.enter(zoneId);
    if (leave === undefined) order.push(`${zoneId} turned away`);
    else {
      order.push(zoneId);
      leaves.push(leave);
    }
  };
  const settled = async (): Promise<void> => {
    for (let round = 0; round < 5; round += 1) await Promise.resolve();
  };
  return { turns, order, leaves, enter, settled };
}

const isNow = (entered: ReturnType<ZoneTurns['enter']>): boolean => typeof entered === 'function';

describe('places that zones share', () => {
  it('are there at once for another zone, however many one zone wants', () => {
    const { turns } = setUp(4, 3);
    const first = Array.from({ length: 8 }, () => turns.enter('flood'));
    expect(first.map(isNow)).toEqual([true, true, true, false, false, false, false, false]);
    expect(isNow(turns.enter('other'))).toBe(true);
  });

  it('go round by zone when they are scarce', async () => {
    const { order, leaves, enter, settled } = setUp(1, 1);
    for (const zone of ['a', 'a', 'a', 'a', 'b', 'b', 'c']) void enter(zone);
    await settled();
    for (let turn = 0; turn < 6; turn += 1) {
      leaves[turn]?.();
      await settled();
    }
    expect(order).toEqual(['a', 'a', 'b', 'c', 'a', 'b', 'a']);
  });

  it('have lines with an end, each zone its own', async () => {
    const { turns, order, enter, settled } = setUp(1, 1);
    for (let count = 0; count < 10; count += 1) void enter('flood');
    void enter('other');
    await settled();
    expect(order).toEqual(['flood', 'flood turned away']);
    expect(turns.enter('other')).toBeInstanceOf(Promise);
  });

  it('are all free again when everyone has left', async () => {
    const { turns, leaves, enter, settled } = setUp(2, 1);
    for (const zone of ['a', 'a', 'b', 'b', 'c']) void enter(zone);
    for (let turn = 0; turn < 5; turn += 1) {
      await settled();
      leaves[turn]?.();
    }
    await settled();
    expect([turns.enter('a'), turns.enter('b')].map(isNow)).toEqual([true, true]);
  });
});
