/** `npm run demo`: brings the stack up, tells the story of a governed agent against it, and sums up. */
import { randomBytes } from 'node:crypto';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from './demo/client.ts';
import { type StoryResult, tellStory } from './demo/story.ts';
import { createTelling, StoryBroken, type Telling } from './demo/telling.ts';
import { startUpstream } from './demo/upstream.ts';
import { bringUp } from './stack/control.ts';
import { type Layout, stackLayout } from './stack/layout.ts';
import type { RunRecord } from './stack/run-file.ts';
import { readShellFile } from './stack/shell-file.ts';

const usage = `usage: npm run demo

Starts the stack unless it runs, then shows a governed call from end to end: allowed, denied, delegated, revoked, proven.
Stop the stack with \`npm run down\`.`;

const interruptedExitCode = 130;
const usageExitCode = 64;

const say = (message: string): void => void process.stderr.write(`caracal: ${message}\n`);

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return 0;
  }
  if (args.length > 0) {
    say(`there is no option ${args[0]}\n\n${usage}`);
    return usageExitCode;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  const layout = stackLayout(dirname(dirname(fileURLToPath(import.meta.url))));
  const outcome = await bringUp({ layout, environment: process.env, say, signal: interrupted.signal });
  switch (outcome.kind) {
    case 'interrupted':
      return interruptedExitCode;
    case 'failed':
      say(`the stack did not start: ${outcome.message}`);
      return 1;
    case 'started':
    case 'found':
      return await tell(outcome.record, layout);
  }
}

async function tell(record: RunRecord, layout: Layout): Promise<number> {
  const shell = readShellFile(layout.shellFile);
  const apiKey = randomBytes(24).toString('hex');
  const upstreamPort = Number(new URL(shell.CARACAL_DEV_UPSTREAM_URL ?? '').port);
  await using upstream = await startUpstream({ port: upstreamPort, apiKey });
  await using client = createClient(join(shell.CARACAL_DEV_TLS ?? '', 'ca.pem'));
  const telling = createTelling((line) => console.log(line));
  const { api = '', sts = '', gateway = '', coordinator = '' } = record.urls;
  console.log('');
  try {
    const places = { api, sts, gateway, coordinator };
    const adminToken = shell.CARACAL_ADMIN_TOKEN ?? '';
    const result = await tellStory({ telling, client, places, adminToken, upstream, apiKey });
    sumUp(result, { record, layout, telling });
    return 0;
  } catch (error) {
    if (!(error instanceof StoryBroken)) throw error;
    console.error(`\nThe story broke at step ${telling.steps()}: ${error.message}\nLogs: ${layout.logFolder}`);
    return 1;
  }
}

function sumUp(result: StoryResult, context: { record: RunRecord; layout: Layout; telling: Telling }): void {
  const { record, layout, telling } = context;
  const here = (path: string): string => relative(process.cwd(), path);
  console.log(`
${telling.steps()} of ${telling.steps()} steps as promised; ${result.events} events chained and verified.

  zone     ${result.world.zoneId} (${result.world.zoneSlug})
${Object.entries(record.urls)
  .map(([name, url]) => `  ${name.padEnd(12)}${url}`)
  .join('\n')}

Go on with curl:   . ${here(layout.shellFile)}
                   curl -H "Authorization: Bearer $CARACAL_ADMIN_TOKEN" "$CARACAL_API_URL/v1/zones/${result.world.zoneId}/audit/by-request/${result.requestId}"
Stop everything:   npm run down`);
}

process.exitCode = await main(process.argv.slice(2));
