// One event in the journal: its number, its signature, its text, one line. Lines that do not verify (a torn last one, a
// disk's mistake, a stranger's edit) are told apart from those that do.
import { constantTimeEqual, hmacSha256Hex } from '#mesh/canonical';

export interface JournalEntry {
  readonly id: string;
  readonly seq: number;
  readonly sig: string;
  /** Canonical JSON, so without a line feed. */
  readonly data: string;
}

const LINE = /^([1-9][0-9]{0,15}) ([0-9a-f]{64}) (\{.*\})$/s;

export function journalLine({ seq, sig, data }: JournalEntry): string {
  return `${seq} ${sig} ${data}\n`;
}

/** The entry, or undefined for anything that one of the keys does not vouch for. */
export function readJournalLine(line: string, auditKeys: readonly Uint8Array[]): JournalEntry | undefined {
  const [, seqText, sig, data] = LINE.exec(line) ?? [];
  if (seqText === undefined || sig === undefined || data === undefined) return undefined;
  if (!auditKeys.some((key) => constantTimeEqual(hmacSha256Hex(key, data), sig))) return undefined;
  // The text verified, so it is what this installation wrote.
  const event = JSON.parse(data) as { readonly id?: unknown; readonly producer_seq?: unknown };
  const seq = Number(seqText);
  return typeof event.id === 'string' && event.producer_seq === seq ? { id: event.id, seq, sig, data } : undefined;
}
