// Reads the migrations as files: their order, their checksums, and whether one runs outside a transaction. It stands alone
// because services ask it which schema they need, and only the migrator runs anything.
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface MigrationFile {
  /** From 1 without gaps. */
  readonly number: number;
  /** `0007_sts_keys`. */
  readonly name: string;
  /** SHA-256 of the file's bytes, hex. */
  readonly checksum: string;
  readonly sql: string;
  /** One statement that cannot run in a transaction. */
  readonly concurrently: boolean;
}

const fileForm = /^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*\.sql$/;

/** The first line of a file that holds one statement for outside a transaction. */
const concurrentlyMark = '-- caracal: concurrently';

/** The migrations of this release. */
export const migrationsDirectory = fileURLToPath(new URL('../../migrations/', import.meta.url));

/** All migrations of a folder in order. Throws when a name is not of the form, or a number is missing or double. */
export async function readMigrations(directory: string = migrationsDirectory): Promise<MigrationFile[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).toSorted();
  const files = await Promise.all(names.map((name) => readMigration(directory, name)));
  for (const [index, file] of files.entries()) {
    if (file.number !== index + 1) {
      throw new Error(`migrations are numbered from 1 without gaps: expected ${index + 1} where ${file.name}.sql is`);
    }
  }
  return files;
}

async function readMigration(directory: string, fileName: string): Promise<MigrationFile> {
  const number = fileForm.exec(fileName)?.[1];
  if (number === undefined) throw new Error(`${fileName} is not named like a migration: 0001_what_it_is_about.sql`);
  const bytes = await readFile(join(directory, fileName));
  const sql = bytes.toString('utf8');
  return {
    number: Number(number),
    name: fileName.slice(0, -'.sql'.length),
    checksum: createHash('sha256').update(bytes).digest('hex'),
    sql,
    concurrently: sql.split('\n', 1)[0]?.trimEnd() === concurrentlyMark,
  };
}
