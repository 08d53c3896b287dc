// What the processes that compare the service with the reference model report, and what a proof says of it.
import type { ProofReport } from './proof.ts';

/** As test/conformance/exchange-model prints it. */
export interface ExchangeTally {
  readonly exchanges: number;
  readonly granted: number;
  readonly partly: number;
  readonly refused: number;
  readonly leftOut: number;
  readonly because: Readonly<Record<string, number>>;
  readonly by: Readonly<Record<string, number>>;
  readonly divergences: readonly string[];
}

export function exchangeReport(tallies: readonly ExchangeTally[], asked: number): ProofReport {
  const sum = (pick: (tally: ExchangeTally) => number): number =>
    tallies.reduce((total, each) => total + pick(each), 0);
  const counted = (label: string, pick: (tally: ExchangeTally) => Readonly<Record<string, number>>) =>
    [...new Set(tallies.flatMap((tally) => Object.keys(pick(tally))))]
      .map((name): [string, number] => [`${label}${name}`, sum((tally) => pick(tally)[name] ?? 0)])
      .toSorted(([, first], [, second]) => second - first);
  const exchanges = sum((tally) => tally.exchanges);
  const divergences = tallies.flatMap((tally) => tally.divergences);
  return {
    columns: ['outcome', 'exchanges'],
    rows: [
      ['granted', sum((tally) => tally.granted)],
      ['granted in part', sum((tally) => tally.partly)],
      ['refused', sum((tally) => tally.refused)],
      ...counted('granted by ', ({ by }) => by),
      ...counted('refused: ', ({ because }) => because),
    ],
    facts: { exchanges, divergences: divergences.length, leftOut: sum((tally) => tally.leftOut) },
    problems: exchanges < asked ? [...divergences, `only ${exchanges} of ${asked} were compared`] : divergences,
  };
}
