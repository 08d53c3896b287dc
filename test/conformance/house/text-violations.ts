// One deliberate violation or more per rule about the text of a file.
// It stands alone, and writes some words in two halves, so that our own tree is not taken for the violation.
const disable = ['oxlint', 'disable'].join('-');
const later = ['TO', 'DO'].join('');

export const opening = '// Decides something; it stands alone for the proof.\n';

/** A rule disabled as the house allows it. */
export const excused = `${opening}// ${disable}-next-line no-var -- the proof needs a reason here\nvar x;\n`;

export const badTexts: Readonly<Record<string, readonly (readonly [path: string, text: string])[]>> = {
  'a-file-opens-with-its-purpose': [
    ['mesh/ids/id.ts', 'export const x = 1;\n'],
    ['dev/tool.ts', "#!/usr/bin/env node\nimport 'x';\n"],
  ],
  'main-fits-one-screen': [['services/api/main.ts', `${opening}${'run();\n'.repeat(40)}`]],
  'a-disabled-rule-has-its-reason': [
    ['mesh/ids/id.ts', `${opening}// ${disable}-next-line no-var\nvar x;\n`],
    ['mesh/ids/id.ts', `${opening}var x; // ${disable.replace('ox', 'es')}-line no-var -- why\n`],
    ['mesh/ids/id.ts', `${opening}/* ${disable} */\n`],
  ],
  'a-todo-is-an-issue': [['mesh/ids/id.ts', `${opening}// ${later}: write it\n`]],
  'no-test-waits-for-another-day': [
    ['mesh/ids/id.test.ts', "it.skip('x', () => {});\n"],
    ['mesh/ids/id.test.ts', "describe.skipIf(true)('x', () => {});\n"],
    ['mesh/ids/id.test.ts', "test.todo('x');\n"],
  ],
};
