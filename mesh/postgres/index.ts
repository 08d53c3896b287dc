// Postgres: transactions bound to a zone, the migrator, the roles.
//
//   await using database = createPool({ service: 'sts', connectionString, logger });
//   await requireSchema({ database, service: 'sts', clock, waitMs: 30_000 });
//   const row = await database.inZone(zoneId, (tx) => tx.one<Row>('SELECT … WHERE id = $1', [id]));
//   const all = await database.acrossZones((tx) => tx.query<Row>('SELECT * FROM api_pub.all_zones()'));
export { bootstrap, type BootstrapOptions } from './bootstrap.ts';
export { followDatabaseClock, type DatabaseClockOptions } from './database-clock.ts';
export { createPool, type Database, type PoolOptions, type ZoneOptions } from './database.ts';
export { isUnavailable, violatedReference, violatedUnique } from './errors.ts';
export type { Leadership } from './leadership.ts';
export { migrationsDirectory } from './migration-files.ts';
export { migrate, type MigrateOptions, type MigrateResult } from './migrator.ts';
export { requireSchema, schemaVersion, type SchemaCheckOptions } from './schema-check.ts';
export type { LoaderTransaction, Transaction, ZoneSequence, ZoneTransaction } from './transaction.ts';
export { int8 } from './values.ts';
