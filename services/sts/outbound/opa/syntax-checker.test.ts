import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createSyntaxChecker } from './syntax-checker.ts';
import type { SyntaxAnswer, SyntaxQuestion } from './syntax-worker.ts';

type Heard = (question: SyntaxQuestion, worker: EventEmitter) => void;

/** A thread that answers as it is told, and what became of each that was started. */
function threads(hear: Heard) {
  const started: { readonly asked: SyntaxQuestion[]; ended: boolean }[] = [];
  const worker = (): Worker => {
    const thread: (typeof started)[number] = { asked: [], ended: false };
    const emitter = new EventEmitter();
    started.push(thread);
    return Object.assign(emitter, {
      postMessage(question: SyntaxQuestion) {
        thread.asked.push(question);
        queueMicrotask(() => hear(question, emitter));
      },
      async terminate() {
        thread.ended = true;
        return 0;
      },
    }) as unknown as Worker;
  };
  return { started, worker };
}

const say =
  (answer: SyntaxAnswer): Heard =>
  ({ id }, emitter) =>
    emitter.emit('message', { ...answer, id });
const inOrder: SyntaxAnswer = { kind: 'checked', problems: [] };
const opa = { url: 'http://opa.test' };

afterEach(() => vi.useRealTimers());

describe('checking policies in a thread of its own', () => {
  it('asks for each text once, because what may stand in it depends on nothing else', async () => {
    const { started, worker } = threads(say(inOrder));
    await using checker = createSyntaxChecker({ token: undefined, worker });
    for (const source of ['a', 'b', 'a', 'a']) expect(await checker.check(opa, source)).toEqual(inOrder);
    expect(started.map(({ asked }) => asked.map(({ source }) => source))).toEqual([['a', 'b']]);
  });

  it('asks again for a text that was not in order', async () => {
    const problem = { line: 1, column: 1, code: 'forbidden_reference', message: 'no' };
    const { started, worker } = threads(say({ kind: 'checked', problems: [problem] }));
    await using checker = createSyntaxChecker({ token: undefined, worker });
    await checker.check(opa, 'a');
    await checker.check(opa, 'a');
    expect(started[0]?.asked).toHaveLength(2);
  });

  it('asks one after another, so that no two trees are in memory', async () => {
    const waiting: (() => void)[] = [];
    const { started, worker } = threads((question, emitter) => {
      waiting.push(() => say(inOrder)(question, emitter));
    });
    await using checker = createSyntaxChecker({ token: undefined, worker });
    const both = Promise.all([checker.check(opa, 'a'), checker.check(opa, 'b')]);
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    expect(started[0]?.asked.map(({ source }) => source)).toEqual(['a']);
    waiting.shift()?.();
    await vi.waitFor(() => expect(waiting).toHaveLength(1));
    waiting.shift()?.();
    expect(await both).toEqual([inOrder, inOrder]);
  });

  it.each([
    ['dies of it', (emitter: EventEmitter): void => void emitter.emit('error', new Error('out of memory'))],
    ['ends', (emitter: EventEmitter): void => void emitter.emit('exit', 1)],
  ])('finds a policy too complex whose thread %s, and goes on with another thread', async (_how, end) => {
    const { started, worker } = threads((question, emitter) => {
      if (question.source === 'huge') end(emitter);
      else say(inOrder)(question, emitter);
    });
    await using checker = createSyntaxChecker({ token: undefined, worker });
    expect(await checker.check(opa, 'huge')).toMatchObject({ problems: [{ code: 'policy_too_complex' }] });
    expect(await checker.check(opa, 'small')).toEqual(inOrder);
    expect(started.map(({ ended }) => ended)).toEqual([true, false]);
  });

  it('finds a policy too complex that takes too long', async () => {
    vi.useFakeTimers();
    const { started, worker } = threads(() => undefined);
    await using checker = createSyntaxChecker({ token: undefined, worker });
    const checked = checker.check(opa, 'endless');
    await vi.advanceTimersByTimeAsync(20_001);
    expect(await checked).toMatchObject({ problems: [{ code: 'policy_too_complex' }] });
    expect(started[0]?.ended).toBe(true);
  });

  it('gives the thread back when nobody needs it', async () => {
    vi.useFakeTimers();
    const { started, worker } = threads(say(inOrder));
    await using checker = createSyntaxChecker({ token: undefined, worker });
    await checker.check(opa, 'a');
    await vi.advanceTimersByTimeAsync(30_001);
    expect(started[0]?.ended).toBe(true);
    await checker.check(opa, 'b');
    expect(started).toHaveLength(2);
  });
});
