// The steps of `npm run check` in the order in which they are reported, each with its commands and its way out.
// It stands alone because the list is what a newcomer wants to read; how steps run is dev/check.ts's business.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Step {
  readonly name: string;
  /** What the step makes sure of, in a few words. */
  readonly promise: string;
  /** Program and arguments, run one after the other from the root of the repository until one fails. */
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** What to do when it fails, beside what the tool itself says. */
  readonly remedy: string;
}

const node = process.execPath;
/** Our own scripts stand beside this file; what they look at is the current folder. */
const ours = (name: string): string => join(import.meta.dirname, name);
const bin = (name: string): string => `node_modules/.bin/${name}`;

/** The image that contracts must stay compatible with; comparing with git would compare a commit with itself. */
const baseline = 'proto/baseline.binpb';

/** Writes the reference pages of docs/ with no argument, and with `--check` fails when a page is not what it would write. */
const references = 'dev/references.ts';

const steps: readonly Step[] = [
  {
    name: 'contracts',
    promise: 'proto/ is well formed and breaks no client',
    commands: [
      [bin('buf'), 'lint'],
      [bin('buf'), 'format', '--diff', '--exit-code'],
      [bin('buf'), 'breaking', '--against', baseline],
    ],
    remedy:
      'Formatting: `npx buf format -w`. A break: keep the old field or method beside the new one; only with a page in docs/decisions/ may `npm run proto:release -- --decision <page>` renew the baseline.',
  },
  {
    name: 'generated',
    promise: 'gen/ is what the contracts generate',
    commands: [[node, ours('generated.ts')]],
    remedy: 'Run `npm run generate` and commit gen/.',
  },
  {
    name: 'references',
    promise: 'the reference pages of docs/ are what the code says',
    commands: [[node, references, '--check']],
    remedy: `Run \`node ${references}\` and commit the pages.`,
  },
  {
    name: 'types',
    promise: 'the compiler finds no error',
    commands: [[node, 'node_modules/typescript7/bin/tsc', '--noEmit', '-p', 'tsconfig.json']],
    remedy: 'Repair the types; a suppression needs its reason beside it.',
  },
  {
    name: 'lint',
    promise: 'budgets and rules of the language hold',
    commands: [[bin('oxlint')]],
    remedy: 'Split what is too large by what it decides; `npx oxlint --fix` repairs the mechanical ones.',
  },
  {
    name: 'boundaries',
    promise: 'every import is one the architecture allows',
    commands: [[node, ours('boundaries.ts')]],
    remedy: 'Each line names its remedy; the table of who may import whom is dev/house/imports/.',
  },
  {
    name: 'shape',
    promise: 'files are named, placed and opened as the house asks',
    commands: [[node, ours('shape.ts')]],
    remedy: 'Each line names its remedy; the rules are dev/house/names.ts and dev/house/texts.ts.',
  },
  {
    name: 'unused',
    promise: 'no value is exported that nothing else mentions',
    commands: [[node, ours('exports.ts')]],
    remedy: 'Drop `export` from what only its own file uses, and delete what nothing uses.',
  },
  {
    name: 'format',
    promise: 'every file is formatted',
    commands: [
      [
        bin('prettier'),
        '--check',
        '--log-level=warn',
        '--cache',
        '--cache-strategy=content',
        '--cache-location=node_modules/.cache/prettier/check',
        '.',
      ],
    ],
    remedy: 'Run `npx prettier --write .`.',
  },
];

/** The steps that apply to the repository in the current folder. */
export function applicableSteps(): readonly Step[] {
  return steps.filter(({ name }) => name !== 'references' || existsSync(references));
}
