// Every proof there is, in the order in which a list shows them.
import { exchangeFlowProof } from './exchange-flow.ts';
import { exchangeWireProof } from './exchange-wire.ts';
import { keyProof } from './key-proof.ts';
import { killProof } from './kill-proof.ts';
import { narrowingProof } from './narrowing.ts';
import { opaRestartProof, policyEnginesProof, policyZonesProof } from './policy-proofs.ts';
import { policyReplayProof } from './policy-replay.ts';
import type { Proof } from './proof.ts';
import { replicaProof } from './replica-proof.ts';

export const proofs: readonly Proof[] = [
  killProof,
  keyProof,
  replicaProof,
  narrowingProof,
  exchangeFlowProof,
  exchangeWireProof,
  policyZonesProof,
  opaRestartProof,
  policyEnginesProof,
  policyReplayProof,
];
