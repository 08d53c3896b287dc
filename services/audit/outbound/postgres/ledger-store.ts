// The ledger in Postgres: appends run under the zone's own transaction, so row-level security holds for Audit too.
import type { IdSource } from '#mesh/ids';
import type { Database, ZoneTransaction } from '#mesh/postgres';
import type { LedgerStore, LedgerTransaction } from '../../ports/ledger-store.ts';
import { selectDecisions } from './decision-rows.ts';
import {
  insertEntries,
  insertFindings,
  lockHead,
  selectEntries,
  selectHead,
  selectKnown,
  selectPage,
  selectTrace,
} from './ledger-rows.ts';
import { addProducerNumbers, giveUpNumbers, selectIncomplete } from './producer-rows.ts';

export function createLedgerStore(database: Database, newId: IdSource): LedgerStore {
  return {
    append: (zoneId, work) => database.inZone(zoneId, (tx) => work(ledgerTransaction(tx, newId))),
    search: (zoneId, query) => database.inZone(zoneId, (tx) => selectPage(tx, zoneId, query)),
    trace: (zoneId, requestId, limit) => database.inZone(zoneId, (tx) => selectTrace(tx, { zoneId, requestId }, limit)),
    decisions: (zoneId, events) => database.inZone(zoneId, (tx) => selectDecisions(tx, zoneId, events)),
    head: (zoneId) => database.inZone(zoneId, (tx) => selectHead(tx, zoneId)),
    incompleteSequences: () => selectIncomplete(database),
    entries: (zoneId, fromSeq, limit) =>
      database.inZone(zoneId, (tx) => selectEntries(tx, { zoneId, seq: fromSeq }, limit)),
  };
}

function ledgerTransaction(tx: ZoneTransaction, newId: IdSource): LedgerTransaction {
  return {
    lockHead: () => lockHead(tx, tx.zoneId),
    known: (ids) => selectKnown(tx, ids),
    append: (entries, head) => insertEntries(tx, entries, head),
    recordFindings: (findings) =>
      insertFindings(
        tx,
        findings.map((finding) => ({ ...finding, id: newId() })),
      ),
    addProducerNumbers: (producer, incarnation, numbers) => addProducerNumbers(tx, { producer, incarnation }, numbers),
    giveUpNumbers: (gap) => giveUpNumbers(tx, gap),
  };
}
