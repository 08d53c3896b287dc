// A complete small house that breaks no rule: every layer of a service, some mesh, a tool, and tests beside the code.
// It stands alone because the proofs plant their violations into it, and one proof shows that it is clean.
const purpose = '// A room of the small house; it stands alone so that rules have something to look at.\n';

const rooms: Readonly<Record<string, string>> = {
  'gen/thing_pb.ts': "import type { Message } from '@bufbuild/protobuf';\nexport type Thing = Message<'thing'>;",
  'mesh/failure/index.ts': "export { fail } from './fail.ts';",
  'mesh/failure/fail.ts': 'export const fail = (reason: string): Error => new Error(reason);',
  'mesh/failure/fail.test.ts':
    "import { expect, it } from 'vitest';\nimport { fail } from './fail.ts';\nit('keeps the reason', () => expect(fail('x').message).toBe('x'));",
  'mesh/canonical/index.ts': 'export const canonical = (value: unknown): string => JSON.stringify(value);',
  'mesh/ids/index.ts': 'export type ZoneId = string & { readonly zone: true };',
  'mesh/authority/index.ts': 'export const narrow = (scopes: readonly string[]): readonly string[] => scopes;',
  'mesh/time/index.ts': 'export interface Clock {\n  readonly now: () => number;\n}\nexport const epoch = 0;',
  'mesh/config/index.ts': 'export const loadConfig = (): object => ({});',
  'mesh/telemetry/index.ts': "import { pino } from 'pino';\nexport const logger = pino();\nexport const counter = 0;",
  'mesh/postgres/index.ts':
    "import pg from 'pg';\nimport { fail } from '#mesh/failure';\nexport const pool = new pg.Pool();\nexport const failed = fail;",
  'mesh/mandate/index.ts':
    "import { jwtVerify } from 'jose';\nexport const verify = jwtVerify;\nexport type Mandate = object;",
  'mesh/runtime/index.ts':
    "import { logger } from '#mesh/telemetry';\nexport const run = (): void => logger.info('run');",
  'services/alpha/README.md': '# Alpha\n',
  'services/alpha/main.ts':
    "import { run } from '#mesh/runtime';\nimport { config } from './config.ts';\nimport { wire } from './wiring.ts';\nwire(config, process.env['PORT']);\nrun();",
  'services/alpha/config.ts': "import { loadConfig } from '#mesh/config';\nexport const config = loadConfig();",
  'services/alpha/metrics.ts': "import { counter } from '#mesh/telemetry';\nexport const calls = counter;",
  'services/alpha/wiring.ts':
    "import { reply } from './inbound/http/reply.ts';\nimport { StoreSql } from './outbound/postgres/store-sql.ts';\nimport { ask } from './flows/ask.ts';\nexport const wire = (config: object, port?: string): object => ({ config, port, reply, ask, store: new StoreSql() });",
  'services/alpha/domain/rule.ts':
    "import { canonical } from '#mesh/canonical';\nimport type { Clock } from '#mesh/time';\nimport ipaddr from 'ipaddr.js';\nexport const rule = (clock: Clock): string => canonical([clock.now(), ipaddr.isValid('::1')]);",
  'services/alpha/domain/rule.test.ts':
    "import { expect, it } from 'vitest';\nimport { manualClock } from '#test/manual-clock';\nimport { rule } from './rule.ts';\nit('says the time', () => expect(rule(manualClock)).toBe('[0,true]'));",
  'services/alpha/ports/store.ts':
    "import type { Readable } from 'node:stream';\nimport type { ZoneId } from '#mesh/ids';\nexport interface Store {\n  readonly read: (zone: ZoneId) => Readable;\n}",
  'services/alpha/flows/ask.ts':
    "import { fail } from '#mesh/failure';\nimport type { Clock } from '#mesh/time';\nimport { rule } from '../domain/rule.ts';\nimport type { Store } from '../ports/store.ts';\nexport const ask = (deps: { readonly store: Store; readonly clock: Clock }): Error => fail(rule(deps.clock));",
  'services/alpha/flows/ask.test.ts':
    "import { expect, it } from 'vitest';\nimport { StoreMemory } from '../outbound/memory/store-memory.ts';\nimport { ask } from './ask.ts';\nit('asks', () => expect(ask({ store: new StoreMemory(), clock: { now: () => 0 } })).toBeDefined());",
  'services/alpha/inbound/http/reply.ts':
    "import type { FastifyInstance } from 'fastify';\nimport type { IncomingMessage } from 'node:http';\nimport type { Thing } from '#gen/thing_pb';\nimport { calls } from '../../metrics.ts';\nexport const reply = (app: FastifyInstance, _message: IncomingMessage, _thing: Thing): object => ({ app, calls });",
  'services/alpha/outbound/postgres/store-sql.ts':
    "import { Readable } from 'node:stream';\nimport { request } from 'undici';\nimport { pool } from '#mesh/postgres';\nimport type { Store } from '../../ports/store.ts';\nexport class StoreSql implements Store {\n  readonly read = (): Readable => Readable.from([pool, request]);\n}",
  'services/alpha/outbound/memory/store-memory.ts':
    "import { Readable } from 'node:stream';\nimport type { Store } from '../../ports/store.ts';\nexport class StoreMemory implements Store {\n  readonly read = (): Readable => Readable.from([]);\n}",
  'services/beta/README.md': '# Beta\n',
  'services/beta/main.ts': "import { fine } from './wiring.ts';\nprocess.exit(fine ? 0 : 1);",
  'services/beta/wiring.ts': "import { good } from './domain/good.ts';\nexport const fine = good;",
  'services/beta/domain/good.ts':
    "import { narrow } from '#mesh/authority';\nexport const good = narrow([]).length === 0;",
  'dev/up.ts': "import { logger } from '#mesh/telemetry';\nlogger.info(process.env['PATH'] ?? '');",
  'bench/measure.ts': "import { logger } from '#mesh/telemetry';\nlogger.info('measured');",
  'cli/caracal.ts': "import { hostname } from 'node:os';\nprocess.stdout.write(hostname());",
  'test/support/manual-clock.ts':
    "import type { Clock } from '#mesh/time';\nexport const manualClock: Clock = { now: () => 0 };",
  'test/integration/alpha.test.ts':
    "import pg from 'pg';\nimport { expect, it } from 'vitest';\nimport { wire } from '../../services/alpha/wiring.ts';\nit('wires', () => expect(wire({}, typeof pg)).toBeDefined());",
};

/** Path to text of every file. */
export const cleanHouse: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(rooms).map(([path, text]) => [path, path.endsWith('.ts') ? `${purpose}${text}\n` : text]),
);
