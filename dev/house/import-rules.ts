// Who may import whom: every row of the architecture's import table, as one list of dependency-cruiser rules.
// It stands alone so that the rules are plain data which a proof can walk through rule by rule.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { graph } from './imports/graph.ts';
import { house } from './imports/house.ts';
import { layers, typeOnly } from './imports/layers.ts';
import { mesh } from './imports/mesh.ts';
import { packages } from './imports/packages.ts';

/** Every import rule of the house, in the order a report lists them; each one's comment is its remedy. */
export const importRules: readonly IForbiddenRuleType[] = [
  ...graph,
  ...mesh,
  ...packages,
  ...layers,
  ...typeOnly,
  ...house,
];
