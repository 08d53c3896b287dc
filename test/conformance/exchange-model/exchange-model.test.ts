import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startSts } from '../../integration/sts/sts-installation.ts';
import { emptyTally, runWorld } from './compare.ts';
import type { Subject, Tally } from './compare.ts';
import { createFlowSubject } from './flow-subject.ts';
import { runFlowWorlds } from './flow-worlds.ts';
import { startPeopleIssuer } from './people-issuer.ts';
import { randomOf } from './seeded.ts';
import { createWireSubject } from './wire-subject.ts';
import { randomWorld } from './random-world.ts';

/** The long proof runs this file at its own size and reads what came out. */
const wireExchanges = Number(process.env['CARACAL_WIRE_EXCHANGES'] ?? 150);
const seed = Number(process.env['CARACAL_WIRE_SEED'] ?? 1);
const reportFile = process.env['CARACAL_WIRE_REPORT'];
/** Worlds asked at a time: enough to keep an STS busy. */
const lanes = 4;

async function flowTally(exchanges: number): Promise<Tally> {
  const worlds = runFlowWorlds({ first: 0, exchanges, seed: 1 });
  for (;;) {
    const { value, done } = await worlds.next();
    if (done === true) return value;
  }
}

/** A service that gives more than it may, in one way. */
function widening(subject: Subject): Subject {
  return { ...subject, ask: async (ask, step) => subject.ask({ ...ask, session: undefined, edge: undefined }, step) };
}

describe('the reference model of exchange', () => {
  it('agrees with the flows in random worlds, and both are met in every way', { timeout: 600_000 }, async () => {
    const tally = await flowTally(4000);
    expect(tally.divergences).toEqual([]);
    for (const name of ['granted', 'partly', 'refused'] as const) expect(tally[name]).toBeGreaterThan(200);
    // Each of these is a rule of its own; one that is never met would be proven of nothing.
    expect(Object.keys(tally.because).length).toBeGreaterThan(15);
    expect(Object.values(tally.by).toSorted((a, b) => a - b)[0]).toBeGreaterThan(10);
    expect(Object.keys(tally.by).length).toBe(6);
  });

  it('notices a service that leaves a bound out', { timeout: 600_000 }, async () => {
    const tally = emptyTally();
    for (let index = 0; index < 40; index += 1) {
      const world = randomWorld(randomOf(2, index), { steps: 24, changing: true });
      await runWorld(world, widening(createFlowSubject(world)), { tally, label: `${index}`, passedSeconds: () => 0 });
    }
    expect(tally.divergences.length).toBeGreaterThan(10);
  });

  it('agrees with a real STS over the wire', { timeout: 3_600_000 }, async () => {
    await using issuer = await startPeopleIssuer();
    await using sts = await startSts({ overrides: { sts: { UPSTREAM_DEV_LOOPBACK_HOSTS: issuer.host } } });
    // From then on what the issuer signs is younger than what this Redis remembers.
    await sleep(3000);
    const tally = emptyTally();
    let next = 0;
    const lane = async (): Promise<void> => {
      while (tally.exchanges < wireExchanges && tally.divergences.length === 0) {
        next += 1;
        const world = randomWorld(randomOf(seed, next), { steps: wireExchanges > 1000 ? 120 : 30, changing: false });
        const startedMs = performance.now();
        const passedSeconds = (): number => Math.ceil((performance.now() - startedMs) / 1000) + 1;
        const subject = await createWireSubject({ sts, issuer }, world);
        await runWorld(world, subject, { tally, label: `seed ${seed}, world ${next}`, passedSeconds });
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    if (reportFile !== undefined) writeFileSync(reportFile, JSON.stringify(tally));
    expect(tally.divergences).toEqual([]);
    expect(tally.granted).toBeGreaterThan(20);
  });
});
