// Renews proto/baseline.binpb, the image of the contracts that later changes must stay compatible with.
// It stands alone because renewing the image forgives every break since, so it insists on a page saying why.
import { stat } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { buf } from './generate.ts';

const help = `Usage: npm run proto:release -- --decision docs/decisions/NNNN-title.md

Renews proto/baseline.binpb, against which \`npm run check\` refuses breaking changes (buf breaking, WIRE_JSON).
The decision page must exist: it says what breaks, who is affected, and how they move.
`;

const decisionPath = /^docs\/decisions\/\d{4}-[a-z0-9]+(?:-[a-z0-9]+)*\.md$/;

/** Why a path is no decision page, or null when it is one that exists and says something. */
async function decisionProblem(path: string | undefined): Promise<string | null> {
  if (path === undefined) {
    return 'name the decision page: npm run proto:release -- --decision docs/decisions/NNNN-title.md';
  }
  if (!decisionPath.test(path)) {
    return `${path} is not a decision page: its place and name are docs/decisions/NNNN-title.md`;
  }
  const page = await stat(path).catch(() => null);
  return page?.isFile() === true && page.size > 0 ? null : `${path} does not exist or is empty: write it first`;
}

async function release(decision: string | undefined): Promise<number> {
  const problem = await decisionProblem(decision);
  if (problem !== null) {
    process.stderr.write(`${problem}\n`);
    return 1;
  }
  await buf(['lint']);
  await buf(['build', '--exclude-source-info', '--output', 'proto/baseline.binpb']);
  process.stdout.write(`proto/baseline.binpb is renewed; commit it together with ${decision}.\n`);
  return 0;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { help: { type: 'boolean', short: 'h' }, decision: { type: 'string' } },
  });
  if (values.help === true) {
    process.stdout.write(help);
  } else {
    process.exitCode = await release(values.decision);
  }
}
