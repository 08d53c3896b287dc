// What a proof is: something that runs as long as one lets it, is repeated by its seed, and either holds or names what broke.
import type { Place } from './installation.ts';

export interface ProofRequest {
  /** How much of it; each proof says what one unit is. */
  readonly size: number;
  readonly seed: number;
  /** For proofs that start an installation. */
  readonly place: Place;
  readonly say: (line: string) => void;
}

export interface ProofReport {
  /** What was seen, row by row under the columns' names. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** Sums and counts that say how much was looked at. */
  readonly facts: Readonly<Record<string, number>>;
  /** Empty when the proof holds. */
  readonly problems: readonly string[];
}

export interface Proof {
  readonly name: string;
  /** What holds, in one sentence. */
  readonly sentence: string;
  /** What one unit of its size is, and how many are taken when nobody says. */
  readonly unit: string;
  readonly defaultSize: number;
  run(request: ProofRequest): Promise<ProofReport>;
}

/** A table for people, widths by content; names to the left, numbers to the right. */
export function proofTable({ columns, rows }: Pick<ProofReport, 'columns' | 'rows'>): string {
  const lines = [columns, ...rows.map((row) => row.map(String))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const padded = (cell: string, at: number): string =>
    at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
  return lines.map((line) => line.map(padded).join('  ')).join('\n');
}
