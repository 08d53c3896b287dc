// Turns a batch of stream entries into chained ledger entries: verified, read strictly, grouped by zone, one transaction a
// zone. An entry is settled when it is stored, known already, or refused for good; only then may it be acknowledged.
import type { ZoneId } from '#mesh/ids';
import { extendChain } from '../domain/chain.ts';
import { type LedgerEvent, readEvent } from '../domain/ledger-event.ts';
import type { Finding } from '../domain/tamper-finding.ts';
import type { AuditDeps } from '../ports/deps.ts';
import type { LedgerTransaction } from '../ports/ledger-store.ts';

/** An entry of `caracal.audit.events` as the consumer hands it over. */
export interface StreamedEvent {
  /** The stream's own id, for acknowledgement. */
  readonly entryId: string;
  readonly data: string | undefined;
  readonly sig: string | undefined;
}

export interface IngestOutcome {
  /** Stored now or earlier: acknowledge. */
  readonly settled: readonly string[];
  /** Never acceptable: to the dead letters, then acknowledge. */
  readonly dead: readonly { readonly entryId: string; readonly reason: string }[];
  readonly stored: number;
  readonly duplicates: number;
}

interface Accepted {
  readonly entryId: string;
  readonly event: LedgerEvent;
  readonly signature: string;
}

/** @throws store_unavailable: nothing of the zone at hand is settled, the whole batch comes again. */
export async function ingestBatch(deps: AuditDeps, batch: readonly StreamedEvent[]): Promise<IngestOutcome> {
  const dead: { entryId: string; reason: string }[] = [];
  const zones = new Map<ZoneId, Accepted[]>();
  for (const entry of batch) {
    const accepted = accept(deps, entry);
    if ('reason' in accepted) {
      dead.push(accepted);
      continue;
    }
    const zone = zones.get(accepted.event.zoneId);
    if (zone === undefined) zones.set(accepted.event.zoneId, [accepted]);
    else zone.push(accepted);
  }
  let stored = 0;
  let duplicates = 0;
  const settled: string[] = [];
  for (const [zoneId, entries] of zones) {
    const result = await deps.ledger.append(zoneId, (tx) => appendZone(deps, { tx, zoneId, entries }));
    stored += result.stored;
    duplicates += result.duplicates;
    settled.push(...entries.map((entry) => entry.entryId));
  }
  return { settled, dead, stored, duplicates };
}

function accept(deps: AuditDeps, entry: StreamedEvent): Accepted | { entryId: string; reason: string } {
  const { entryId, data, sig } = entry;
  if (data === undefined) return { entryId, reason: 'missing_data_field' };
  if (sig === undefined || !deps.isSigned(data, sig)) return { entryId, reason: 'signature_refused' };
  const reading = readEvent(data, deps.clock.now());
  if (reading.kind === 'refused') return { entryId, reason: `${reading.reason}: ${reading.detail}`.slice(0, 256) };
  return { entryId, event: reading.event, signature: sig };
}

async function appendZone(
  deps: AuditDeps,
  zone: { tx: LedgerTransaction; zoneId: ZoneId; entries: readonly Accepted[] },
): Promise<{ stored: number; duplicates: number }> {
  const { tx, zoneId, entries } = zone;
  const head = await tx.lockHead();
  const known = new Map(await tx.known(entries.map((entry) => entry.event.id)));
  const fresh: Accepted[] = [];
  const findings: Finding[] = [];
  for (const entry of entries) {
    const earlier = known.get(entry.event.id);
    if (earlier === undefined) {
      fresh.push(entry);
      known.set(entry.event.id, entry.event.contentSha256);
    } else if (earlier !== entry.event.contentSha256) {
      findings.push({
        zoneId,
        seq: 0,
        eventId: entry.event.id,
        kind: 'reused_event_id',
        description: 'another event arrived under an id that is in the ledger',
      });
    }
  }
  if (fresh.length > 0) {
    const chained = extendChain(
      head,
      fresh.map((entry) => entry.event),
      deps.chainKeys,
    );
    const appended = fresh.flatMap((entry, at) => {
      const link = chained.links[at];
      return link === undefined ? [] : [{ event: entry.event, link, signature: entry.signature }];
    });
    await tx.append(appended, chained.head);
  }
  if (findings.length > 0) await tx.recordFindings(findings);
  await addNumbers(tx, entries);
  return { stored: fresh.length, duplicates: entries.length - fresh.length };
}

/** Producers in one order, so that two batches never wait for each other. */
async function addNumbers(tx: LedgerTransaction, entries: readonly Accepted[]): Promise<void> {
  const producers = new Map<string, { producer: string; incarnation: string; numbers: number[] }>();
  for (const { event } of entries) {
    const key = `${event.producer} ${event.producerIncarnation}`;
    const known = producers.get(key);
    if (known === undefined) {
      producers.set(key, {
        producer: event.producer,
        incarnation: event.producerIncarnation,
        numbers: [event.producerSeq],
      });
    } else known.numbers.push(event.producerSeq);
  }
  for (const key of [...producers.keys()].toSorted()) {
    const producer = producers.get(key);
    if (producer !== undefined) await tx.addProducerNumbers(producer.producer, producer.incarnation, producer.numbers);
  }
}
