// Seals everything anew that is still under the previous key-encryption key, zone by zone. Values are compared before they
// are replaced, so that the sweep loses to whoever writes at the same time, and running it twice, or in two places, is
// harmless. What does not open is left as it is, counted, and named in the ledger.
import type { JsonObject } from '#mesh/failure';
import { SYSTEM_ZONE } from '#mesh/ids';
import type { Evidence } from '../ports/evidence.ts';
import type { SealedValue, SealedValues } from '../ports/sealed-values.ts';
import type { Vault } from '../ports/vault.ts';
import type { Asked } from './evidence.ts';

export interface ResealDeps {
  readonly vault: Pick<Vault, 'open' | 'seal' | 'isCurrent'>;
  readonly sealedValues: SealedValues;
  readonly evidence: Evidence;
}

export interface ResealProgress {
  /** Envelopes looked at. */
  readonly checked: number;
  readonly resealed: number;
  /** Under the present key already. */
  readonly current: number;
  /** Opened by no key that is here. */
  readonly failed: number;
  readonly done: boolean;
}

export interface ResealRequest {
  readonly asked: Asked;
  /** Only this zone; undefined means all. */
  readonly zoneId: string | undefined;
  readonly signal: AbortSignal;
}

type Counts = { -readonly [K in Exclude<keyof ResealProgress, 'done'>]: number };
type Outcome = Exclude<keyof Counts, 'checked'> | 'changed' | 'gone';

/** Bounds what one statement reads; a page of envelopes is a few hundred KiB. */
const pageSize = 200;
/** A row that is written again and again while it is being sealed is sealed under the present key by whoever writes it. */
const maxAttempts = 3;

function none(): Counts {
  return { checked: 0, resealed: 0, current: 0, failed: 0 };
}

/** The value as plain text lives for this turn only. */
function sealAnew(vault: ResealDeps['vault'], { location, envelope }: SealedValue): Uint8Array | undefined {
  let plain: Uint8Array;
  try {
    plain = vault.open(envelope, location);
  } catch {
    return undefined;
  }
  try {
    return vault.seal(plain, location);
  } finally {
    plain.fill(0);
  }
}

async function resealOnce(deps: ResealDeps, zoneId: string, value: SealedValue): Promise<Outcome> {
  if (deps.vault.isCurrent(value.envelope)) return 'current';
  const envelope = sealAnew(deps.vault, value);
  if (envelope === undefined) return 'failed';
  return (await deps.sealedValues.replace(zoneId, value, envelope)) ? 'resealed' : 'changed';
}

async function resealValue(deps: ResealDeps, zoneId: string, first: SealedValue): Promise<Exclude<Outcome, 'changed'>> {
  let value: SealedValue | undefined = first;
  for (let attempt = 1; value !== undefined; attempt += 1) {
    const outcome = await resealOnce(deps, zoneId, value);
    if (outcome !== 'changed') return outcome;
    if (attempt >= maxAttempts) return 'failed';
    value = await deps.sealedValues.find(zoneId, value.location);
  }
  return 'gone';
}

async function record(
  deps: ResealDeps,
  about: { asked: Asked; zoneId: string; eventType: string; metadata: JsonObject },
): Promise<void> {
  const { asked, zoneId, eventType, metadata } = about;
  const { requestId, traceId } = asked;
  await deps.evidence.emit({ zoneId, eventType, requestId, ...(traceId === undefined ? {} : { traceId }), metadata });
}

async function resealZone(deps: ResealDeps, request: ResealRequest, zoneId: string): Promise<Counts> {
  const { asked, signal } = request;
  const counts = none();
  for (const column of deps.sealedValues.columns) {
    for (let after = ''; ;) {
      signal.throwIfAborted();
      const page = await deps.sealedValues.page(zoneId, column, { after, limit: pageSize });
      for (const value of page) {
        const outcome = await resealValue(deps, zoneId, value);
        if (outcome === 'gone') continue;
        counts.checked += 1;
        counts[outcome] += 1;
        if (outcome === 'failed') {
          const { table, column: name, rowId } = value.location;
          const metadata = { table, column: name, row_id: rowId };
          await record(deps, { asked, zoneId, eventType: 'secret.unopenable', metadata });
        }
      }
      if (page.length < pageSize) break;
      after = page.at(-1)?.location.rowId ?? after;
    }
  }
  if (counts.resealed > 0) {
    await record(deps, { asked, zoneId, eventType: 'secrets.resealed', metadata: { ...counts } });
  }
  return counts;
}

function add(total: Counts, more: Counts): void {
  for (const name of ['checked', 'resealed', 'current', 'failed'] as const) total[name] += more[name];
}

async function* zonesOf(deps: ResealDeps, only: string | undefined): AsyncGenerator<string> {
  if (only !== undefined) {
    yield only;
    return;
  }
  for (let after = ''; ;) {
    const zones = await deps.sealedValues.zonesAfter(after, pageSize);
    yield* zones;
    if (zones.length < pageSize) return;
    after = zones.at(-1) ?? after;
  }
}

/** Progress after each zone; the last says done. Throws `store_unavailable`, `audit_unavailable`; what was sealed anew stays. */
export async function* resealSecrets(deps: ResealDeps, request: ResealRequest): AsyncGenerator<ResealProgress> {
  const total = none();
  for await (const zoneId of zonesOf(deps, request.zoneId)) {
    add(total, await resealZone(deps, request, zoneId));
    yield { ...total, done: false };
  }
  if (request.zoneId === undefined) {
    const about = { asked: request.asked, zoneId: SYSTEM_ZONE, eventType: 'secrets.resealed' };
    await record(deps, { ...about, metadata: { ...total } });
  }
  yield { ...total, done: true };
}
