import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startProcess } from '../components/child-process.ts';
import { isRunning } from '../process-identity.mjs';
import { Supervision } from './supervision.ts';
import type { Part } from './supervision.ts';

const quick = { firstMilliseconds: 10, limitMilliseconds: 40, steadyMilliseconds: 60_000 };
let folder: string;
let said: string[];
let supervision: Supervision;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-supervision-'));
  said = [];
  supervision = new Supervision({ say: (line) => said.push(line), onChange: () => undefined, backOff: quick });
});
afterEach(async () => {
  await supervision.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A process that runs `script` in a shell and counts as answering once it runs. */
function part(name: string, script: string): Part {
  const logFile = join(folder, `${name}.log`);
  return {
    name,
    address: 'nowhere',
    logFile,
    start: async (onSpawn) => {
      const started = await startProcess({
        command: '/bin/sh',
        args: ['-c', script],
        environment: process.env,
        logFile,
      });
      onSpawn(started, [{ signal: 'SIGTERM', graceMilliseconds: 2_000 }]);
      return { process: started };
    },
  };
}

const sleeper = (name: string): Part =>
  part(name, `trap 'echo ${name} >> ${folder}/order; exit 0' TERM; while :; do sleep 1 & wait $!; done`);

function status(name: string) {
  const found = supervision.statuses().find((entry) => entry.name === name);
  if (found === undefined) throw new Error(`no part ${name}`);
  return found;
}

test('stops the stages in reverse and leaves no process', async () => {
  await supervision.startStage([sleeper('store')]);
  await supervision.startStage([sleeper('service')]);
  const identities = supervision.statuses().map((entry) => entry.process);
  await vi.waitFor(() =>
    expect(identities.every((identity) => identity !== undefined && isRunning(identity))).toBe(true),
  );
  // The shells need their traps in place before they are asked to end.
  await new Promise((resolve) => setTimeout(resolve, 200));
  await supervision.stop();
  expect(readFileSync(join(folder, 'order'), 'utf8')).toBe('service\nstore\n');
  expect(identities.some((identity) => identity !== undefined && isRunning(identity))).toBe(false);
  expect(supervision.statuses().map(({ state }) => state)).toEqual(['stopped', 'stopped']);
});

test('restarts a part that was killed, and shows it', async () => {
  await supervision.startStage([sleeper('service')]);
  const first = status('service').process;
  process.kill(first?.pid ?? 0, 'SIGKILL');
  await vi.waitFor(() => expect(status('service').restarts).toBe(1), { timeout: 20_000 });
  await vi.waitFor(() => expect(status('service').state).toBe('up'), { timeout: 20_000 });
  expect(status('service').process).not.toEqual(first);
  expect(status('service').lastExit).toBe('signal SIGKILL');
  expect(said.join('\n')).toContain('service ended (signal SIGKILL)');
});

test('keeps trying a part that ends at once, waiting longer each time', async () => {
  const began = performance.now();
  await supervision.startStage([part('broken', 'exit 3')]);
  await vi.waitFor(() => expect(status('broken').restarts).toBeGreaterThanOrEqual(4), { timeout: 20_000 });
  expect(performance.now() - began).toBeGreaterThanOrEqual(10 + 20 + 40 + 40);
  expect(status('broken').lastExit).toBe('exit code 3');
});

test('keeps trying a part whose restart fails', async () => {
  let starts = 0;
  const good = sleeper('service');
  const flaky: Part = {
    ...good,
    start: async (onSpawn) => {
      starts += 1;
      if (starts === 2 || starts === 3) throw new Error('the port is taken');
      return await good.start(onSpawn);
    },
  };
  await supervision.startStage([flaky]);
  process.kill(status('service').process?.pid ?? 0, 'SIGKILL');
  await vi.waitFor(() => expect(starts).toBe(4), { timeout: 20_000 });
  await vi.waitFor(() => expect(status('service').state).toBe('up'), { timeout: 20_000 });
  expect(said.filter((line) => line.includes('could not be restarted: the port is taken'))).toHaveLength(2);
});

test('gives up the start when a first start fails', async () => {
  const failing: Part = { ...sleeper('service'), start: () => Promise.reject(new Error('no such program')) };
  await expect(supervision.startStage([failing])).rejects.toThrow('no such program');
});

test('kills a part that does not end by itself', async () => {
  await supervision.startStage([part('deaf', `trap '' TERM; while :; do sleep 1; done`)]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const identity = status('deaf').process;
  await supervision.stop();
  expect(identity !== undefined && isRunning(identity)).toBe(false);
  expect(said).toContain('deaf did not end in time and was killed');
});

test('starts nothing any more once a stop began', async () => {
  await supervision.stop();
  await expect(supervision.startStage([sleeper('late')])).rejects.toThrow('being stopped');
});
