// Trials of policies, bound to their ports.
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { replayPolicySet } from './replay.ts';
import type { ReplayWish } from './replay.ts';
import { simulatePolicySet } from './simulate.ts';
import type { SimulateWish } from './simulate.ts';

export function bindPolicyTrials(deps: ApiDeps) {
  return {
    simulate: async (call: ZoneCall, wish: SimulateWish) => simulatePolicySet(deps, call, wish),
    replay: (call: ZoneCall, wish: ReplayWish) => replayPolicySet(deps, call, wish),
  };
}
