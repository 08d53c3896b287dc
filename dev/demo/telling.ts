/** Runs the steps of a story one after another, prints what each came to, and stops at the first that is not as it must be. */

export class StoryBroken extends Error {}

export interface Telling {
  /** A step: what it says on success, or a StoryBroken on what it saw instead. */
  step<T>(title: string, run: () => Promise<{ says: string; gives: T; milliseconds?: number }>): Promise<T>;
  steps(): number;
}

export function createTelling(print: (line: string) => void): Telling {
  let count = 0;
  return {
    step: async (title, run) => {
      count += 1;
      const label = `${String(count).padStart(2)}. ${title}`;
      const started = performance.now();
      const { says, gives, milliseconds = performance.now() - started } = await run();
      print(`${label.padEnd(66)} ${formatted(milliseconds).padStart(9)}  ${says}`);
      return gives;
    },
    steps: () => count,
  };
}

function formatted(milliseconds: number): string {
  return milliseconds < 100 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
}

/** Holds the story to what it promises. */
export function insist(condition: boolean, expectation: string, seen: unknown): asserts condition {
  if (!condition) throw new StoryBroken(`expected ${expectation}, saw ${JSON.stringify(seen)}`);
}
