// The local copy of evidence that the ledger has not confirmed yet: files in one folder, one write per batch, synced only
// when asked, deleted when a watermark covers them, taken up by the next process after a crash.
import { chmod, mkdir, open, readdir } from 'node:fs/promises';
import { journalLine, type JournalEntry } from './journal-line.ts';
import { readSegmentName, Segment } from './segment.ts';

export class JournalFull extends Error {
  constructor() {
    super('the journal holds as much as it may');
    this.name = 'JournalFull';
  }
}

export interface JournalOptions {
  readonly directory: string;
  readonly incarnation: string;
  readonly maxBytes: number;
  /** The keys that vouch for lines: the current one first. */
  readonly auditKeys: readonly Uint8Array[];
  readonly segmentBytes?: number;
  readonly onUnreadableLine?: () => void;
}

interface Waiting {
  readonly entries: readonly JournalEntry[];
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

// Deletion works by whole files: small enough that little is kept too long, large enough that files are few.
const SEGMENT_BYTES = 4 * 1024 * 1024;
const DIRECTORY_MODE = 0o700;

export class Journal {
  readonly #options: JournalOptions;
  #segments: Segment[] = [];
  #current: Segment | undefined;
  #count = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  /** Of what waits for a file. */
  #promisedBytes = 0;
  #hasNewFile = false;

  private constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Makes the folder (0700) and takes up what earlier processes left in it. */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options);
    await mkdir(options.directory, { recursive: true, mode: DIRECTORY_MODE });
    await chmod(options.directory, DIRECTORY_MODE);
    await journal.#adopt();
    return journal;
  }

  async #adopt(): Promise<void> {
    const { directory, auditKeys, onUnreadableLine } = this.#options;
    const names = (await readdir(directory)).map(readSegmentName).filter((name) => name !== undefined);
    names.sort((first, second) => first.count - second.count);
    for (const name of names) {
      const segment = new Segment(directory, name);
      await segment.measure(auditKeys, () => onUnreadableLine?.());
      if (segment.lastSeq === 0) await segment.delete();
      else this.#segments.push(segment);
    }
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0) + this.#promisedBytes;
  }

  get hasRoom(): boolean {
    return this.bytes < this.#options.maxBytes;
  }

  /** What each file here holds. */
  get contents(): readonly { readonly incarnation: string; readonly firstSeq: number; readonly lastSeq: number }[] {
    return this.#segments.filter(({ lastSeq }) => lastSeq > 0);
  }

  /**
   * Resolves when the operating system has the bytes: they survive the process, not the host. They are written in the
   * calling turn unless a file has to be made first. Rejects with JournalFull or the disk's error; nothing of the batch is
   * kept then.
   */
  async append(entries: readonly JournalEntry[]): Promise<void> {
    const bytes = Buffer.from(entries.map(journalLine).join(''));
    if (this.bytes + bytes.length > this.#options.maxBytes) throw new JournalFull();
    const segment = this.#writing === undefined ? this.#current : undefined;
    if (segment === undefined || this.#isWorn(segment)) await this.#appendToNext(entries, bytes);
    else this.#put(segment, entries, bytes);
  }

  #isWorn(segment: Segment): boolean {
    return segment.bytes >= (this.#options.segmentBytes ?? SEGMENT_BYTES);
  }

  #put(segment: Segment, entries: readonly JournalEntry[], bytes: Uint8Array): void {
    try {
      segment.append(bytes);
    } catch (error) {
      // The next batch begins a file of its own: this one may end in half a line.
      this.#current = undefined;
      throw error;
    }
    for (const { seq } of entries) segment.note(seq);
  }

  // Calls made while the file is being made wait for it together.
  #appendToNext(entries: readonly JournalEntry[], bytes: Uint8Array): Promise<void> {
    this.#promisedBytes += bytes.length;
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ entries, bytes, resolve, reject });
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    }).finally(() => {
      this.#promisedBytes -= bytes.length;
    });
  }

  async #write(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        this.#put(await this.#writable(), next.entries, next.bytes);
        next.resolve();
      } catch (error) {
        next.reject(error);
      }
    }
  }

  async #writable(): Promise<Segment> {
    const { directory, incarnation } = this.#options;
    if (this.#current !== undefined && !this.#isWorn(this.#current)) return this.#current;
    this.#count += 1;
    const segment = new Segment(directory, { incarnation, count: this.#count });
    await segment.create();
    this.#segments.push(segment);
    this.#current = segment;
    this.#hasNewFile = true;
    return segment;
  }

  /** Resolves when everything appended before the call is on the disk. Callers share one sync. */
  async sync(): Promise<void> {
    // A sync that is under way may have begun before the caller's bytes were written.
    if (this.#syncing !== undefined) await this.#syncing.catch(() => undefined);
    this.#syncing ??= this.#syncAll().finally(() => {
      this.#syncing = undefined;
    });
    await this.#syncing;
  }

  async #syncAll(): Promise<void> {
    try {
      for (const segment of this.#segments) await segment.sync();
    } catch (error) {
      await this.#leaveDeleted();
      throw error;
    }
    if (!this.#hasNewFile) return;
    this.#hasNewFile = false;
    // A file's name is in its folder, and is durable with it.
    const folder = await open(this.#options.directory, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /** Entries of an incarnation from the number on, in the order of writing. */
  async *entries(incarnation: string, fromSeq: number): AsyncGenerator<JournalEntry> {
    for (const segment of this.#segments) {
      if (segment.incarnation !== incarnation || segment.lastSeq < fromSeq) continue;
      for await (const entry of segment.entries(this.#options.auditKeys)) if (entry.seq >= fromSeq) yield entry;
    }
  }

  /** A file that another process took for its forerunner's and deleted takes nothing more. */
  async #leaveDeleted(): Promise<void> {
    const segment = this.#current;
    if (segment === undefined || (await segment.isThere())) return;
    if (this.#current === segment) this.#current = undefined;
    this.#segments = this.#segments.filter((other) => other !== segment);
    await segment.close();
  }

  /** Deletes the files whose every entry the ledger has: numbers up to the given one of the incarnation. */
  async cover(incarnation: string, seq: number): Promise<void> {
    await this.#leaveDeleted();
    for (const segment of this.#segments) {
      if (segment.incarnation !== incarnation || segment.lastSeq > seq || segment.lastSeq === 0) continue;
      if (segment === this.#current) {
        // The file in use goes when it is worth a new one and nothing is being written to it.
        if (this.#writing !== undefined || segment.bytes < (this.#options.segmentBytes ?? SEGMENT_BYTES) / 4) continue;
        this.#current = undefined;
      }
      // Another process may still be writing to what was taken up from it.
      if (incarnation !== this.#options.incarnation && !(await segment.isAsRead())) continue;
      this.#segments = this.#segments.filter((other) => other !== segment);
      await segment.delete();
    }
  }

  /** Waits for writes and closes; the files stay, but for those that the watermark covers. */
  async close(covered: ReadonlyMap<string, number>): Promise<void> {
    await this.#writing;
    this.#current = undefined;
    for (const [incarnation, seq] of covered) await this.cover(incarnation, seq);
    for (const segment of this.#segments) await segment.close();
  }
}
