// The journal keeps what it was given until it is covered, whoever ends in between.
import { newId } from '#mesh/ids';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signAuditEvent } from './event.ts';
import { Journal, JournalFull } from './journal.ts';
import type { JournalEntry } from './journal-line.ts';

const KEY = Buffer.alloc(32, 3);
let directory: string;

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'journal-')), 'kept');
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

function entry(seq: number, size = 10): JournalEntry {
  const id = newId();
  const data = JSON.stringify({ id, producer_seq: seq, text: 'x'.repeat(size) });
  return { id, seq, data, sig: signAuditEvent(data, KEY) };
}

const entries = (from: number, to: number, size?: number): JournalEntry[] =>
  Array.from({ length: to - from + 1 }, (_unused, index) => entry(from + index, size));

function open(
  incarnation = newId(),
  options: { maxBytes?: number; segmentBytes?: number; onUnreadableLine?: () => void } = {},
) {
  return Journal.open({ directory, incarnation, maxBytes: 1024 * 1024, auditKeys: [KEY], ...options });
}

async function numbers(journal: Journal, incarnation: string, from = 1): Promise<number[]> {
  const found: number[] = [];
  for await (const { seq } of journal.entries(incarnation, from)) found.push(seq);
  return found;
}

const files = (): string[] => readdirSync(directory).map((name) => join(directory, name));

describe('a journal', () => {
  it('is for its user alone', async () => {
    const journal = await open();
    await journal.append(entries(1, 1));
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(files().map((file) => statSync(file).mode & 0o777)).toEqual([0o600]);
    await journal.close(new Map());
  });

  it('writes what comes during a write in one write, in order', async () => {
    const incarnation = newId();
    const journal = await open(incarnation);
    await Promise.all(Array.from({ length: 50 }, (_unused, index) => journal.append(entries(index + 1, index + 1))));
    await journal.sync();
    expect(await numbers(journal, incarnation)).toEqual(Array.from({ length: 50 }, (_unused, index) => index + 1));
    await journal.close(new Map());
  });

  it('is read by the next process, torn last line and all', async () => {
    const incarnation = newId();
    const before = await open(incarnation);
    await before.append(entries(1, 3));
    await before.close(new Map());
    const [file = ''] = files();
    truncateSync(file, statSync(file).size - 5);
    let unreadable = 0;
    const after = await open(newId(), { onUnreadableLine: () => (unreadable += 1) });
    expect(await numbers(after, incarnation)).toEqual([1, 2]);
    expect(unreadable).toBe(1);
    expect(after.contents).toMatchObject([{ incarnation, firstSeq: 1, lastSeq: 2 }]);
    await after.close(new Map());
  });

  it('passes over lines that nobody vouches for, wherever they stand', async () => {
    const incarnation = newId();
    const before = await open(incarnation);
    await before.append(entries(1, 3));
    await before.close(new Map());
    const [file = ''] = files();
    const [first = '', second = '', third = ''] = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [first, second.replace('xxx', 'yyy'), 'noise', `9${third.slice(1)}`, third, ''].join('\n'));
    const after = await open();
    expect(await numbers(after, incarnation)).toEqual([1, 3]);
    await after.close(new Map());
  });

  it('accepts the previous key while keys rotate', async () => {
    const incarnation = newId();
    const before = await open(incarnation);
    await before.append(entries(1, 2));
    await before.close(new Map());
    const after = await Journal.open({
      directory,
      incarnation: newId(),
      maxBytes: 1024,
      auditKeys: [Buffer.alloc(32, 9), KEY],
    });
    expect(await numbers(after, incarnation)).toEqual([1, 2]);
    await after.close(new Map());
  });

  it('deletes whole files, and only those that the watermark covers', async () => {
    const incarnation = newId();
    const journal = await open(incarnation, { segmentBytes: 1_000 });
    for (const batch of [entries(1, 10, 50), entries(11, 20, 50), entries(21, 30, 50)]) await journal.append(batch);
    expect(files()).toHaveLength(3);
    await journal.cover(incarnation, 9);
    expect(files()).toHaveLength(3);
    await journal.cover('another', 100);
    expect(files()).toHaveLength(3);
    await journal.cover(incarnation, 20);
    expect(files()).toHaveLength(1);
    expect(await numbers(journal, incarnation)).toEqual(Array.from({ length: 10 }, (_unused, index) => 21 + index));
    await journal.cover(incarnation, 30);
    expect(files()).toHaveLength(0);
    expect(journal.bytes).toBe(0);
    await journal.append(entries(31, 31));
    expect(await numbers(journal, incarnation)).toEqual([31]);
    await journal.close(new Map([[incarnation, 31]]));
    expect(files()).toHaveLength(0);
  });

  it('keeps a file to which another process still writes', async () => {
    const incarnation = newId();
    const living = await open(incarnation);
    await living.append(entries(1, 2));
    const other = await open();
    await living.append(entries(3, 3));
    await other.cover(incarnation, 2);
    expect(files()).toHaveLength(1);
    await other.close(new Map());
    await living.close(new Map());
  });

  it('says nothing is durable in a file that another process deleted, and begins a new one', async () => {
    const incarnation = newId();
    const journal = await open(incarnation);
    await journal.append(entries(1, 1));
    const second = await open();
    await second.cover(incarnation, 1);
    expect(files()).toEqual([]);
    await journal.append(entries(2, 2));
    await expect(journal.sync()).rejects.toThrow('deleted');
    await journal.append(entries(3, 3));
    await journal.sync();
    expect(await numbers(journal, incarnation)).toEqual([3]);
    await second.close(new Map());
    await journal.close(new Map());
  });

  it('notices a file that another process deleted while nothing is written', async () => {
    const incarnation = newId();
    const journal = await open(incarnation);
    await journal.append(entries(1, 1));
    const second = await open();
    await second.cover(incarnation, 1);
    await journal.cover(incarnation, 1);
    await journal.append(entries(2, 2));
    await journal.sync();
    expect(await numbers(journal, incarnation)).toEqual([2]);
    await second.close(new Map());
    await journal.close(new Map());
  });

  it('takes no more than it may, and more once something is covered', async () => {
    const incarnation = newId();
    const journal = await open(incarnation, { maxBytes: 3_000, segmentBytes: 1_000 });
    await journal.append(entries(1, 7, 50));
    await expect(journal.append(entries(8, 30, 50))).rejects.toBeInstanceOf(JournalFull);
    expect(await numbers(journal, incarnation)).toHaveLength(7);
    await journal.cover(incarnation, 7);
    await journal.append(entries(8, 12, 50));
    expect(await numbers(journal, incarnation)).toHaveLength(5);
    await journal.close(new Map());
  });

  it('rejects when its folder is gone, and works again when it is back', async () => {
    const incarnation = newId();
    const journal = await open(incarnation);
    rmSync(directory, { recursive: true });
    await expect(journal.append(entries(1, 1))).rejects.toThrow();
    const again = await open();
    await journal.append(entries(2, 2));
    expect(await numbers(journal, incarnation)).toEqual([2]);
    await again.close(new Map());
    await journal.close(new Map());
  });

  it('leaves files alone that are not its own', async () => {
    const first = await open();
    await first.close(new Map());
    appendFileSync(join(directory, 'README'), 'not a journal');
    const journal = await open();
    expect(journal.contents).toEqual([]);
    await journal.close(new Map());
    expect(files()).toHaveLength(1);
  });
});
