// Changes on two STS and two Gateways: once a call that waits has been answered, no replica does what was before.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeZone, openGovernedZone } from '../../bench/proofs/governed-zone.ts';
import { reachSettings } from '../../bench/proofs/replica-proof.ts';
import { reachKinds, startReachDrill } from '../../bench/proofs/replica-reach.ts';
import type { ReachDrill } from '../../bench/proofs/replica-reach.ts';
import { startFaultInstallation } from './fault-installation.ts';

const cleanup = new AsyncDisposableStack();
let drill: ReachDrill;

beforeAll(async () => {
  const installation = cleanup.use(await startFaultInstallation(reachSettings));
  const zone = cleanup.use(await openGovernedZone(installation, await makeZone(installation)));
  drill = await startReachDrill(installation, zone);
}, 180_000);

afterAll(async () => cleanup.disposeAsync());

describe('when it is said to be everywhere', () => {
  it.each([...reachKinds, ...reachKinds])(
    'a change of kind "%s" is at every replica',
    async (kind) => {
      const { points } = await drill.change(kind);
      expect(drill.problems).toEqual([]);
      expect(points).toBe(4);
    },
    120_000,
  );

  it('every replica was asked', () => {
    expect(drill.asked()).toBeGreaterThan(50);
  });
});
