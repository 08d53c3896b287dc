// Results of trials as they are answered. Names of directions, statuses and what a policy says are values, which stay as
// they are; members of our own are renamed at each level.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { toWire } from '../wire-names.ts';

type Simulation = Awaited<ReturnType<ApiFlows['policyTrials']['simulate']>>;
type Progress = ApiFlows['policyTrials']['replay'] extends (...given: never[]) => AsyncGenerator<infer Step>
  ? Step
  : never;

export function simulated({ problems, recorded, ...result }: Simulation): object {
  return {
    ...toWire(result),
    problems: problems.map(toWire),
    ...(recorded === undefined ? {} : { recorded: toWire(recorded) }),
  };
}

export function replayed({ groups, ...summary }: NonNullable<Progress['summary']>): object {
  return { ...toWire(summary), groups: groups.map(toWire) };
}

export function progressed({ summary, ...step }: Progress): object {
  return { ...toWire(step), ...(summary === undefined ? {} : { summary: replayed(summary) }) };
}
