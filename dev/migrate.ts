// Brings a database to the current schema, or (`bootstrap`) makes the roles that migrations need. It stands alone because it
// is what an operator runs before the services, with a login that the services never get.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { bootstrap, migrate, migrationsDirectory } from '#mesh/postgres';

const help = `Usage: npm run migrate [-- bootstrap] [-- --json]

  npm run migrate               run the migrations that the database has not seen
  npm run migrate -- bootstrap  make the database, its owner and the roles of the services, as an administrator

Both may be run again at any time, and by several at once. A migration that has run and was changed is refused.

Connection: MIGRATION_DATABASE_URL, else DATABASE_URL (or either with _FILE for a file that holds it).
  bootstrap needs an administrator; migrations need an administrator or a login that may SET ROLE caracal_owner.

Services log in as users of your own making. Each is a member of two roles, nothing else:
  GRANT caracal_<service>        TO <login> WITH INHERIT TRUE;                  -- on 15: make the login NOINHERIT
  GRANT caracal_<service>_loader TO <login> WITH INHERIT FALSE, SET TRUE;       -- on 15: without the WITH clause

Options:
  --json   one JSON object on standard output instead of sentences
  --help   this text

Exit codes: 0 done, 1 failed, 64 wrong usage.
`;

const usageExitCode = 64;

async function connectionUrl(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const name of ['MIGRATION_DATABASE_URL', 'DATABASE_URL']) {
    const value = env[name];
    if (value !== undefined && value !== '') return value;
    const file = env[`${name}_FILE`];
    if (file !== undefined && file !== '') return (await readFile(file, 'utf8')).trim();
  }
  return undefined;
}

function parse(
  argv: readonly string[],
): { command: 'migrate' | 'bootstrap'; json: boolean; help: boolean } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const [command = 'migrate', ...rest] = positionals;
    if (rest.length > 0 || (command !== 'migrate' && command !== 'bootstrap')) return undefined;
    return { command, json: values.json, help: values.help };
  } catch {
    return undefined;
  }
}

async function run(command: 'migrate' | 'bootstrap', json: boolean): Promise<void> {
  const administratorUrl = await connectionUrl(process.env);
  if (administratorUrl === undefined) throw new Error('set MIGRATION_DATABASE_URL or DATABASE_URL');
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
    if (!json) console.log(line);
  };
  if (command === 'bootstrap') {
    await bootstrap(administratorUrl, { log });
    console.log(json ? JSON.stringify({ done: true, changes: lines }) : 'the roles are as they must be');
    return;
  }
  const result = await migrate({ administratorUrl, directory: migrationsDirectory, log });
  console.log(
    json ? JSON.stringify(result) : `the schema is at ${result.version}, ${result.applied.length} applied now`,
  );
}

async function main(): Promise<number> {
  const parsed = parse(process.argv.slice(2));
  if (parsed === undefined) {
    console.error(help);
    return usageExitCode;
  }
  if (parsed.help) {
    console.log(help);
    return 0;
  }
  try {
    await run(parsed.command, parsed.json);
    return 0;
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error);
    if (parsed.json) console.log(JSON.stringify({ done: false, error: sentence }));
    else console.error(sentence);
    return 1;
  }
}

process.exitCode = await main();
