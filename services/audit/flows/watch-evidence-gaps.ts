// Looks for evidence that should have arrived and has not. A gap that stays is a finding; after that its numbers count as
// arrived, so that the producer's journal does not grow for ever on account of what is lost.
import { SYSTEM_ZONE } from '#mesh/ids';
import { type GapMemory, judgeGaps, type SequenceGap } from '../domain/producer-sequence.ts';
import type { Finding } from '../domain/tamper-finding.ts';
import type { AuditDeps } from '../ports/deps.ts';

/** One look; gives back what to remember until the next and what was found. */
export async function watchEvidenceGaps(
  deps: AuditDeps,
  seen: GapMemory,
): Promise<{ readonly seen: GapMemory; readonly findings: readonly Finding[] }> {
  const sequences = await deps.ledger.incompleteSequences();
  const judged = judgeGaps(sequences, seen, deps.clock.monotonic());
  const findings = judged.overdue.map(gapFinding);
  for (const [at, gap] of judged.overdue.entries()) {
    const finding = findings[at];
    if (finding === undefined) continue;
    await deps.ledger.append(SYSTEM_ZONE, async (tx) => {
      await tx.recordFindings([finding]);
      await tx.giveUpNumbers(gap);
    });
  }
  return { seen: judged.seen, findings };
}

function gapFinding({ producer, incarnation, from, to }: SequenceGap): Finding {
  const numbers = from === to ? `event ${from}` : `events ${from} to ${to}`;
  return {
    zoneId: SYSTEM_ZONE,
    seq: 0,
    eventId: '',
    kind: 'evidence_gap',
    description: `${numbers} of ${producer} (${incarnation}) never arrived`,
  };
}
