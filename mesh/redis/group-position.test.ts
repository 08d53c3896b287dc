import { expect, it } from 'vitest';
import type { RedisConnection } from './connection.ts';
import { GroupPosition } from './group-position.ts';

/** A stream of ten entries whose first five are finished; another member takes the rest while this one looks. */
function streamWithBusyMember() {
  const state = { delivered: 5, pending: [] as number[], kept: 1 };
  const takeRest = (): void => {
    state.delivered = 10;
    state.pending = [6, 7, 8, 9, 10];
  };
  let looks = 0;
  const call = async (command: string, ...args: readonly unknown[]): Promise<unknown> => {
    if (command === 'XTRIM') state.kept = Number(String(args.at(-1)).split('-')[0]);
    if (command !== 'XPENDING' && command !== 'XINFO') return null;
    const answer =
      command === 'XPENDING'
        ? [state.pending.length, state.pending.length > 0 ? `${state.pending[0]}-0` : null]
        : [['name', 'group', 'last-delivered-id', `${state.delivered}-0`]];
    looks += 1;
    if (looks === 1) takeRest();
    return answer;
  };
  const redis = { call, key: (name: string) => name } as unknown as RedisConnection;
  return { redis, state };
}

it('cuts off nothing that another member was given while it looked', async () => {
  const { redis, state } = streamWithBusyMember();
  const stream = 'caracal.audit.events';
  const position = new GroupPosition({ redis, stream, group: 'group', consumer: 'c', batchSize: 1, blockMs: 0 });
  await position.trim();
  expect(state.pending.every((id) => id >= state.kept)).toBe(true);
});
