// Recorded decisions read back for replay: oldest first, each input once, the range and the limit kept.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { newId, type ZoneId } from '#mesh/ids';
import { createPool, type Database } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { chainKeyId, type ChainKeys } from '../../../services/audit/domain/chain.ts';
import { ingestBatch, type StreamedEvent } from '../../../services/audit/flows/ingest-batch.ts';
import { readInputs, type InputBatch, type InputRange } from '../../../services/audit/flows/read-inputs.ts';
import { createLedgerStore } from '../../../services/audit/outbound/postgres/ledger-store.ts';
import type { AuditDeps } from '../../../services/audit/ports/deps.ts';

const key = Buffer.alloc(32, 5);
const chainKeys: ChainKeys = {
  current: { id: chainKeyId(key), key },
  find: (id) => (id === chainKeyId(key) ? key : undefined),
};

let database: DisposableDatabase;
let pool: Database;
let deps: AuditDeps;
let zoneId: ZoneId;
let producerSeq = 0;
const startMs = Date.now() - 3_600_000;

beforeAll(async () => {
  database = await disposableDatabase();
  pool = createPool({ service: 'audit', connectionString: database.urls.audit, logger: silentLogger });
  deps = {
    ledger: createLedgerStore(pool, newId),
    chainKeys,
    isSigned: () => true,
    clock: createClock(),
    logger: silentLogger,
  };
});

afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

beforeEach(() => {
  zoneId = newId() as ZoneId;
});

const inputOf = (name: string, filler = ''): string =>
  canonicalJson({ context: { requested_scopes: [`${name}:read`] }, filler, resource: { identifier: name } });

/** A decision event `at` milliseconds after the start. */
function decided(name: string, at: number, overrides: Record<string, unknown> = {}): StreamedEvent & { id: string } {
  producerSeq += 1;
  const id = newId();
  const inputJson = inputOf(name);
  const data = canonicalJson(
    JSON.parse(
      JSON.stringify({
        id,
        zone_id: zoneId,
        event_type: 'gateway.decision',
        request_id: `request-${name}`,
        decision: 'allow',
        evaluation_status: 'complete',
        input_digest: sha256Hex(inputJson),
        input_json: inputJson,
        manifest_sha: 'd'.repeat(64),
        metadata: { application_id: 'app-1', resource: name, policy_decision: 'allow' },
        occurred_at: new Date(startMs + at).toISOString().replace('Z', '000Z'),
        producer: 'sts',
        producer_incarnation: 'incarnation',
        producer_seq: producerSeq,
        ...overrides,
      }),
    ) as never,
  );
  return { id, entryId: `${producerSeq}-0`, data, sig: '0'.repeat(64) };
}

async function read(range: Partial<InputRange> = {}): Promise<InputBatch[]> {
  const whole = { zoneId, since: undefined, until: undefined, eventId: undefined, limit: 100_000, ...range };
  return Array.fromAsync(readInputs(deps, whole));
}

const names = (batches: readonly InputBatch[]): string[] =>
  batches.flatMap(({ decisions }) => decisions.map(({ resource }) => resource));

describe('recorded decisions', () => {
  it('come oldest first, with what policy said and the input exactly as it was decided on', async () => {
    const held = { decision: 'deny', metadata: { application_id: 'a', resource: 'b', policy_decision: 'hold' } };
    await ingestBatch(deps, [decided('late', 20), decided('early', 10), decided('b', 15, held)]);
    const [batch] = await read();
    expect(batch?.decisions.map(({ resource, decision }) => [resource, decision])).toEqual([
      ['early', 'allow'],
      ['b', 'hold'],
      ['late', 'allow'],
    ]);
    expect(batch?.decisions[0]).toMatchObject({
      applicationId: 'app-1',
      scopes: ['early:read'],
      evaluationStatus: 'complete',
      policyDigest: 'd'.repeat(64),
      requestId: 'request-early',
    });
    expect(batch?.inputs[0]).toEqual({ inputDigest: sha256Hex(inputOf('early')), inputJson: inputOf('early') });
  });

  it('carry an input once, whoever was decided on it, a verdict given again included', async () => {
    const again = { input_json: undefined, metadata: { resource: 'one', reused: true } };
    await ingestBatch(deps, [decided('one', 1), decided('one', 2), decided('one', 3, again)]);
    const [batch] = await read();
    expect(batch?.decisions).toHaveLength(3);
    expect(batch?.inputs).toHaveLength(1);
    expect(batch?.decisions[2]).toMatchObject({ decision: 'allow', scopes: ['one:read'] });
  });

  it('counts decisions whose input was not recorded, and passes over events in which policy was not asked', async () => {
    await ingestBatch(deps, [
      decided('secret', 1, { input_json: undefined }),
      decided('refused', 2, { input_json: undefined, input_digest: undefined, decision: 'deny' }),
      decided('outcome', 3, { event_type: 'gateway.outcome' }),
      decided('kept', 4),
    ]);
    const batches = await read();
    expect(names(batches)).toEqual(['kept']);
    expect(batches.at(-1)).toMatchObject({ withoutInput: 1, cut: false });
  });

  it('keeps to the range, and to the zone', async () => {
    await ingestBatch(deps, [decided('a', 1), decided('b', 2), decided('c', 3)]);
    const at = (ms: number): string => new Date(startMs + ms).toISOString();
    expect(names(await read({ since: at(2), until: at(3) }))).toEqual(['b']);
    expect(names(await read({ zoneId: newId() as ZoneId }))).toEqual([]);
  });

  it('reads one event by its id, and none of another zone', async () => {
    const wanted = decided('wanted', 5);
    await ingestBatch(deps, [decided('other', 1), wanted]);
    expect(names(await read({ eventId: wanted.id }))).toEqual(['wanted']);
    expect(names(await read({ eventId: wanted.id, zoneId: newId() as ZoneId }))).toEqual([]);
  });

  it('says that the limit cut the range, and not when it just sufficed', async () => {
    await ingestBatch(deps, [decided('a', 1), decided('b', 2), decided('c', 3)]);
    const [cut, whole] = [await read({ limit: 2 }), await read({ limit: 3 })];
    expect([names(cut), cut.at(-1)?.cut]).toEqual([['a', 'b'], true]);
    expect([names(whole).length, whole.at(-1)?.cut]).toEqual([3, false]);
  });

  it('keeps every batch small enough for one message, over many pages of one moment', async () => {
    const large = 'x'.repeat(20_000);
    const events = Array.from({ length: 700 }, (_, n) => {
      const inputJson = inputOf(`r${n}`, n % 10 === 0 ? large : '');
      return decided(`r${n}`, 0, { input_json: inputJson, input_digest: sha256Hex(inputJson) });
    });
    for (let at = 0; at < events.length; at += 350) await ingestBatch(deps, events.slice(at, at + 350));
    const batches = await read();
    expect(new Set(names(batches)).size).toBe(700);
    for (const { decisions, inputs } of batches) {
      expect(decisions.length).toBeLessThanOrEqual(512);
      expect(Buffer.byteLength(JSON.stringify(inputs))).toBeLessThan(700 * 1024);
    }
  });
});
