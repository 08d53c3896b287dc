// The sweep that seals everything anew: what it changes, what it leaves, and what it does when others write meanwhile.
import { describe, expect, it } from 'vitest';
import type { AuditEventDraft } from '#mesh/trail';
import { createSealedValuesMemory } from '../outbound/memory/sealed-values-memory.ts';
import { createVaultMemory } from '../outbound/memory/vault-memory.ts';
import { resealSecrets } from './reseal-secrets.ts';
import type { ResealProgress } from './reseal-secrets.ts';

const column = { table: 'api.provider_secrets', column: 'envelope' };
const keys = { table: 'sts.zone_keys', column: 'envelope' };
const at = (rowId: string, of = column) => ({ ...of, rowId });
const secret = Buffer.from('the secret');
const [before, after, strange] = ['0b'.repeat(8), '0a'.repeat(8), '05'.repeat(8)] as const;

function setUp() {
  const old = createVaultMemory(before);
  const vault = createVaultMemory(after, before);
  const alone = createVaultMemory(after);
  const sealedValues = createSealedValuesMemory([column, keys]);
  const events: AuditEventDraft[] = [];
  const evidence = {
    emit: async (draft: AuditEventDraft) => {
      events.push(draft);
      return { eventId: String(events.length) };
    },
  };
  const run = async (zoneId?: string, signal = new AbortController().signal): Promise<ResealProgress[]> => {
    const asked = { requestId: 'r-1', traceId: undefined };
    const steps: ResealProgress[] = [];
    for await (const step of resealSecrets({ vault, sealedValues, evidence }, { asked, zoneId, signal }))
      steps.push(step);
    return steps;
  };
  const openedAlone = async (zoneId: string, rowId: string): Promise<string> => {
    const value = await sealedValues.find(zoneId, at(rowId));
    return Buffer.from(alone.open(value?.envelope ?? new Uint8Array(), at(rowId))).toString('utf8');
  };
  return { old, vault, sealedValues, events, run, openedAlone };
}

describe('the re-seal sweep', () => {
  it('seals what the previous key sealed, in every column of every zone, and nothing twice', async () => {
    const { old, vault, sealedValues, run, openedAlone, events } = setUp();
    for (const zone of ['z1', 'z2']) {
      for (const row of ['a', 'b']) sealedValues.put(zone, at(row), old.seal(secret, at(row)));
      sealedValues.put(zone, at('k', keys), old.seal(secret, at('k', keys)));
    }
    sealedValues.put('z2', at('c'), vault.seal(secret, at('c')));
    const steps = await run();
    expect(steps).toEqual([
      { checked: 3, resealed: 3, current: 0, failed: 0, done: false },
      { checked: 7, resealed: 6, current: 1, failed: 0, done: false },
      { checked: 7, resealed: 6, current: 1, failed: 0, done: true },
    ]);
    expect(await openedAlone('z1', 'b')).toBe('the secret');
    expect((await run()).at(-1)).toEqual({ checked: 7, resealed: 0, current: 7, failed: 0, done: true });
    expect(events.map(({ eventType }) => eventType)).toEqual([
      ...Array(3).fill('secrets.resealed'),
      'secrets.resealed',
    ]);
  });

  it('reads more than one page', async () => {
    const { old, sealedValues, run } = setUp();
    for (let row = 0; row < 450; row += 1)
      sealedValues.put('z1', at(`row-${1000 + row}`), old.seal(secret, at(`row-${1000 + row}`)));
    expect((await run()).at(-1)).toMatchObject({ checked: 450, resealed: 450 });
  });

  it('leaves what no key opens, names it, and goes on', async () => {
    const { old, sealedValues, run, events, openedAlone } = setUp();
    const stranger = createVaultMemory(strange);
    const foreign = stranger.seal(secret, at('a'));
    sealedValues.put('z1', at('a'), foreign);
    sealedValues.put('z1', at('b'), old.seal(secret, at('elsewhere')));
    sealedValues.put('z1', at('c'), old.seal(secret, at('c')));
    expect((await run()).at(-1)).toEqual({ checked: 3, resealed: 1, current: 0, failed: 2, done: true });
    const named = events.filter(({ eventType }) => eventType === 'secret.unopenable');
    expect(named.map(({ zoneId, metadata }) => [zoneId, metadata?.['row_id']])).toEqual([
      ['z1', 'a'],
      ['z1', 'b'],
    ]);
    expect(JSON.stringify(events)).not.toContain('the secret');
    expect((await sealedValues.find('z1', at('a')))?.envelope).toBe(foreign);
    expect(await openedAlone('z1', 'c')).toBe('the secret');
  });

  it('loses to whoever writes a value meanwhile', async () => {
    const { old, vault, sealedValues, run, openedAlone } = setUp();
    sealedValues.put('z1', at('a'), old.seal(secret, at('a')));
    sealedValues.beforeReplace = () => sealedValues.put('z1', at('a'), vault.seal(Buffer.from('newer'), at('a')));
    expect((await run()).at(-1)).toMatchObject({ checked: 1, resealed: 0, current: 1 });
    expect(await openedAlone('z1', 'a')).toBe('newer');
    sealedValues.put('z1', at('a'), old.seal(secret, at('a')));
    sealedValues.beforeReplace = () => sealedValues.put('z1', at('a'), old.seal(Buffer.from('newest'), at('a')));
    expect((await run()).at(-1)).toMatchObject({ checked: 1, resealed: 1 });
    expect(await openedAlone('z1', 'a')).toBe('newest');
  });

  it('may be for one zone, and ends when its caller has gone', async () => {
    const { old, sealedValues, run } = setUp();
    for (const zone of ['z1', 'z2']) sealedValues.put(zone, at('a'), old.seal(secret, at('a')));
    expect((await run('z2')).at(-1)).toMatchObject({ checked: 1, resealed: 1, done: true });
    await expect(run(undefined, AbortSignal.abort())).rejects.toThrow();
    expect((await run()).at(-1)).toMatchObject({ checked: 2, resealed: 1, current: 1 });
  });
});
