// The recorded decisions of a zone with the inputs they were taken on, oldest first. It reads page by page and remembers
// digests alone, so that a range of any length costs the same memory.
import type { ZoneId } from '#mesh/ids';
import { decisionEventTypes, recordedDecision, scopesOfInput } from '../domain/recorded-decision.ts';
import type { RecordedDecision } from '../domain/recorded-decision.ts';
import type { AuditDeps } from '../ports/deps.ts';

export interface InputRange {
  readonly zoneId: ZoneId;
  /** Microsecond texts; inclusive and exclusive. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  /** Only this event; the range is not looked at then. */
  readonly eventId: string | undefined;
  /** Decisions at most. */
  readonly limit: number;
}

export interface InputBatch {
  readonly decisions: readonly (Omit<RecordedDecision, 'inputJson'> & { readonly scopes: readonly string[] })[];
  /** Inputs that no earlier batch has carried. */
  readonly inputs: readonly { readonly inputDigest: string; readonly inputJson: string }[];
  /** Decisions so far whose input is not known. */
  readonly withoutInput: number;
  /** The limit ended the reading before the range did. */
  readonly cut: boolean;
}

/** Decisions a batch (audit.proto). */
const batchDecisions = 512;
/** Bytes a batch: below the megabyte a message may have, with what JSON adds when it is asked for in JSON. */
const batchBytes = 448 * 1024;
/** A decision beside its input: ids, digests, names. */
const decisionBytes = 400;

/** Gathers one batch. `known` has the scopes of each input by digest, over the whole reading. */
class Gathering {
  readonly #known: Map<string, readonly string[]>;
  readonly #decisions: InputBatch['decisions'][number][] = [];
  readonly #inputs: InputBatch['inputs'][number][] = [];
  #bytes = 0;

  constructor(known: Map<string, readonly string[]>) {
    this.#known = known;
  }

  get count(): number {
    return this.#decisions.length;
  }

  /** False when the decision's input is known from nowhere. */
  accepts({ inputDigest, inputJson }: RecordedDecision): boolean {
    return inputJson !== undefined || this.#known.has(inputDigest);
  }

  hasRoomFor({ inputDigest, inputJson }: RecordedDecision): boolean {
    if (this.count === 0) return true;
    const more = inputJson === undefined || this.#known.has(inputDigest) ? 0 : Buffer.byteLength(inputJson);
    return this.count < batchDecisions && this.#bytes + more + decisionBytes <= batchBytes;
  }

  add({ inputJson, ...decision }: RecordedDecision): void {
    let scopes = this.#known.get(decision.inputDigest);
    if (scopes === undefined && inputJson !== undefined) {
      scopes = scopesOfInput(inputJson);
      this.#known.set(decision.inputDigest, scopes);
      this.#inputs.push({ inputDigest: decision.inputDigest, inputJson });
      this.#bytes += Buffer.byteLength(inputJson);
    }
    this.#bytes += decisionBytes;
    this.#decisions.push({ ...decision, scopes: scopes ?? [] });
  }

  batch(withoutInput: number, cut: boolean): InputBatch {
    return { decisions: this.#decisions, inputs: this.#inputs, withoutInput, cut };
  }
}

async function* decisionsOf(deps: Pick<AuditDeps, 'ledger'>, range: InputRange): AsyncGenerator<RecordedDecision> {
  const { zoneId, since, until, eventId } = range;
  const events = { eventTypes: decisionEventTypes, since, until, eventId };
  let page = await deps.ledger.decisions(zoneId, { ...events, after: undefined });
  for (;;) {
    // The next page is on its way while this one is read.
    const following = page.next && deps.ledger.decisions(zoneId, { ...events, after: page.next });
    following?.catch(() => undefined);
    for (const canonical of page.canonical) {
      const decision = recordedDecision(canonical);
      if (decision !== undefined) yield decision;
    }
    if (following === undefined) return;
    page = await following;
  }
}

/** Yields at least once; the last batch says whether the limit cut the range. */
export async function* readInputs(
  deps: Pick<AuditDeps, 'ledger'>,
  range: InputRange,
): AsyncGenerator<InputBatch, void, undefined> {
  const known = new Map<string, readonly string[]>();
  let gathering = new Gathering(known);
  let count = 0;
  let withoutInput = 0;
  let cut = false;
  for await (const decision of decisionsOf(deps, range)) {
    if (!gathering.accepts(decision)) {
      withoutInput += 1;
      continue;
    }
    if (count === range.limit) {
      cut = true;
      break;
    }
    if (!gathering.hasRoomFor(decision)) {
      yield gathering.batch(withoutInput, false);
      gathering = new Gathering(known);
    }
    gathering.add(decision);
    count += 1;
  }
  yield gathering.batch(withoutInput, cut);
}
