// The thread in which compiled policies run: a policy that does not end holds up this thread alone, and whoever watches it
// sees in shared memory which question is being answered.
import { parentPort, workerData } from 'node:worker_threads';
import { createMachine } from './policy-machine.ts';
import type { Machine } from './policy-machine.ts';
import type { WasmModule } from './web-assembly.ts';

export interface WorkerQuestion {
  readonly id: number;
  readonly key: string;
  readonly inputJson: string;
}

export type WorkerMessage =
  | { readonly kind: 'keep'; readonly key: string; readonly module: WasmModule }
  | { readonly kind: 'drop'; readonly key: string }
  | { readonly kind: 'ask'; readonly questions: readonly WorkerQuestion[] };

export interface WorkerAnswer {
  readonly id: number;
  /** Undefined when the set gave up. */
  readonly resultsJson: string | undefined;
  readonly microseconds: number;
}

const { progress } = workerData as { readonly progress: Int32Array };
const machines = new Map<string, Machine>();
/** What has been answered for this long is sent, so that nobody waits for the slower rest of a batch. */
const sendEveryMs = 1;
const microsecondsPerMs = 1000;

function answerAll(questions: readonly WorkerQuestion[]): void {
  let answers: WorkerAnswer[] = [];
  let sentAt = performance.now();
  for (const { id, key, inputJson } of questions) {
    const startedAt = performance.now();
    Atomics.store(progress, 0, id);
    const resultsJson = machines.get(key)?.evaluate(inputJson);
    Atomics.store(progress, 0, 0);
    const now = performance.now();
    answers.push({ id, resultsJson, microseconds: (now - startedAt) * microsecondsPerMs });
    if (now - sentAt < sendEveryMs) continue;
    parentPort?.postMessage(answers);
    answers = [];
    sentAt = now;
  }
  if (answers.length > 0) parentPort?.postMessage(answers);
}

parentPort?.on('message', (message: WorkerMessage) => {
  switch (message.kind) {
    case 'keep':
      machines.set(message.key, createMachine(message.module));
      return;
    case 'drop':
      machines.delete(message.key);
      return;
    case 'ask':
      answerAll(message.questions);
  }
});
