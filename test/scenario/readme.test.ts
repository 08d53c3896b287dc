// Runs what README.md prints, as it is printed, and holds the answers to what it shows.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { services } from '#mesh/topology';
import { findGrpcurl } from '#test/grpcurl';
import { startInstallation } from '#test/installation';
import type { Installation } from '#test/installation';
import { shellBlocks, shownPattern, walk } from '#test/shell-walk';
import type { BlockOutcome, ShellBlock } from '#test/shell-walk';
import { testEndpoints } from '#test/stack';
import { renderShellFile, shellEnvironment } from '../../dev/environment.ts';

const root = dirname(dirname(import.meta.dirname));
const page = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = shellBlocks(page);
const runnable = blocks.filter(({ isRun }) => isRun);
/** Some twenty calls and a few waits for streams; a machine that is busy gets many times that. */
const limitMs = 180_000;

let installation: Installation;
/** Every metric that some service of the installation shows. */
const metrics = new Set<string>();
const outcomes = new Map<ShellBlock, BlockOutcome>();

/** A folder that looks like this repository to the commands of the page, with an installation of its own in `.caracal`. */
function readersFolder(): string {
  const folder = mkdtempSync(join(testEndpoints().runFolder, 'readme-'));
  for (const name of ['node_modules', 'dev', 'proto']) symlinkSync(join(root, name), join(folder, name));
  mkdirSync(join(folder, '.caracal'));
  writeFileSync(join(folder, '.caracal', 'env'), renderShellFile(shellEnvironment(installation.stack)));
  return folder;
}

/** The reader's environment: nothing about an installation but what the page itself reads. */
function readersEnvironment(folder: string, tools: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => ['HOME', 'TMPDIR', 'LANG', 'TERM'].includes(name));
  return {
    ...Object.fromEntries(kept),
    PATH: `${tools}:${process.env['PATH']}`,
    BUF_CACHE_DIR: join(folder, '.cache'),
  };
}

beforeAll(async () => {
  installation = await startInstallation();
  const folder = readersFolder();
  const tools = join(folder, '.tools');
  mkdirSync(tools);
  const grpcurl = await findGrpcurl(process.env);
  if (grpcurl.kind === 'found') symlinkSync(grpcurl.path, join(tools, 'grpcurl'));
  else process.stderr.write(`blocks with grpcurl were not run: ${grpcurl.why}\n`);
  const chosen = runnable.filter(({ needs }) => needs.every((tool) => existsSync(join(tools, tool))));
  const environment = readersEnvironment(folder, tools);
  const results = await walk(chosen, { folder, notes: join(folder, '.notes'), environment, limitMs });
  for (const [at, block] of chosen.entries()) outcomes.set(block, results[at]!);
  for (const name of await metricNames()) metrics.add(name);
}, 660_000);

async function metricNames(): Promise<string[]> {
  const agent = new Agent({ connect: { ca: readFileSync(join(installation.tlsFolder, 'ca.pem')) } });
  const texts = await Promise.all(
    Object.values(installation.urls).map(async (url) =>
      (await request(`${url}/metrics`, { dispatcher: agent })).body.text(),
    ),
  );
  await agent.close();
  return texts.flatMap((text) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
}

afterAll(async () => installation[Symbol.asyncDispose]());

describe('a block of the README', () => {
  it.each(runnable)('does and prints what it says: $title', (block) => {
    const outcome = outcomes.get(block);
    if (outcome === undefined) return expect(block.needs).not.toEqual([]);
    expect(outcome).toMatchObject({ exitCode: 0, failed: [], errors: '' });
    if (block.shows !== undefined) expect(outcome.output).toMatch(shownPattern(block.shows));
    return undefined;
  });
});

describe('the README', () => {
  it('runs every shell block but the commands of the package', () => {
    const others = blocks.filter(({ isRun }) => !isRun).flatMap(({ code }) => code.trim().split('\n'));
    expect(others.filter((line) => !/^npm (?:run [a-z]+|test)$/.test(line))).toEqual([]);
    expect(runnable.length).toBeGreaterThan(15);
  });

  it('names commands of the package that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    const named = [...page.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name);
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it.each(['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/operations.md', 'docs/seed-coverage.md'])(
    'and its neighbours point at what exists: %s',
    (path) => {
      const text = readFileSync(join(root, path), 'utf8');
      const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, target = '']) => target);
      expect(targets.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([]);
    },
  );
});

describe('the operations page', () => {
  const operations = readFileSync(join(root, 'docs', 'operations.md'), 'utf8');

  it('names metrics that a service shows', () => {
    const rows = operations.split('\n').filter((line) => line.startsWith('| `caracal_'));
    const named = rows.flatMap((row) => row.match(/caracal_(?:<service>|[a-z]+)_[a-z_]*[a-z]/g) ?? []);
    const isShown = (name: string): boolean =>
      services.some((service) => metrics.has(name.replace('<service>', service)));
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !isShown(name))).toEqual([]);
  });

  it('names settings that a service reads', () => {
    const settings = readFileSync(join(root, 'docs', 'reference', 'settings.md'), 'utf8');
    const named = [...operations.matchAll(/`\$?([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])`/g)].map(([, name = '']) => name);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => name !== 'NAME_FILE' && !settings.includes(`\`${name}\``))).toEqual([]);
  });

  it('names reasons of the catalogue', () => {
    const errors = readFileSync(join(root, 'docs', 'reference', 'errors.md'), 'utf8');
    const rows = [...operations.matchAll(/^\| `(?!caracal)([a-z_]+)` /gm)].map(([, name = '']) => name);
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter((name) => !errors.includes(`| \`${name}\``))).toEqual([]);
  });
});
