// One file of the journal: appended to by one process, readable by the next one, deleted whole.
import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { createReadStream, ftruncateSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { readJournalLine, type JournalEntry } from './journal-line.ts';

// <incarnation>.<count>.journal; the incarnation is a UUID.
const FILE_NAME = /^([0-9a-f-]{36})\.([0-9]{1,9})\.journal$/;
// Evidence names people and resources: nobody but this user reads it.
const FILE_MODE = 0o600;

export interface SegmentName {
  readonly incarnation: string;
  readonly count: number;
}

export function readSegmentName(fileName: string): SegmentName | undefined {
  const [, incarnation, count] = FILE_NAME.exec(fileName) ?? [];
  return incarnation === undefined || count === undefined ? undefined : { incarnation, count: Number(count) };
}

export class Segment {
  readonly incarnation: string;
  readonly path: string;
  bytes = 0;
  firstSeq = Number.POSITIVE_INFINITY;
  lastSeq = 0;
  /** Written to since the last sync. */
  isDirty = false;
  #handle: FileHandle | undefined;

  constructor(directory: string, name: SegmentName) {
    this.incarnation = name.incarnation;
    this.path = join(directory, `${name.incarnation}.${name.count}.journal`);
  }

  async create(): Promise<void> {
    this.#handle = await open(this.path, 'ax', FILE_MODE);
  }

  note(seq: number): void {
    this.firstSeq = Math.min(this.firstSeq, seq);
    this.lastSeq = Math.max(this.lastSeq, seq);
  }

  /**
   * One write, in the calling turn: it ends in the system's memory after a few microseconds, a tenth of what handing it to
   * another thread and back costs. On an error what was written of it is cut off again, or left for readers to pass over.
   */
  append(bytes: Uint8Array): void {
    if (this.#handle === undefined) throw new Error('segment is closed');
    const { fd } = this.#handle;
    try {
      let written = 0;
      while (written < bytes.length) written += writeSync(fd, bytes, written);
    } catch (error) {
      cutTo(fd, this.bytes);
      throw error;
    }
    this.bytes += bytes.length;
    this.isDirty = true;
  }

  async sync(): Promise<void> {
    if (!this.isDirty || this.#handle === undefined) return;
    this.isDirty = false;
    try {
      await this.#handle.datasync();
      // What is synced into a file that has no name any more is lost with this process.
      if (!(await this.isThere())) throw new Error('the segment was deleted');
    } catch (error) {
      this.isDirty = true;
      throw error;
    }
  }

  /** False when someone deleted the file while it is open here. */
  async isThere(): Promise<boolean> {
    return this.#handle === undefined || (await this.#handle.stat()).nlink > 0;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Entries in the order of writing; lines nobody vouches for go to onUnreadable. */
  async *entries(auditKeys: readonly Uint8Array[], onUnreadable?: () => void): AsyncGenerator<JournalEntry> {
    const lines = createInterface({ input: createReadStream(this.path), crlfDelay: Infinity });
    for await (const line of lines) {
      const entry = readJournalLine(line, auditKeys);
      if (entry === undefined) onUnreadable?.();
      else yield entry;
    }
  }

  /** Takes up a file that another process left; false when it grew since it was last read. */
  async isAsRead(): Promise<boolean> {
    return (await stat(this.path)).size === this.bytes;
  }

  async measure(auditKeys: readonly Uint8Array[], onUnreadable: () => void): Promise<void> {
    this.bytes = (await stat(this.path)).size;
    for await (const { seq } of this.entries(auditKeys, onUnreadable)) this.note(seq);
  }

  async delete(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }
}

function cutTo(fd: number, bytes: number): void {
  try {
    ftruncateSync(fd, bytes);
  } catch {
    // Readers pass over a torn line.
  }
}
