// Runs the rules that read names and texts, as one step of `npm run check`.
// It stands alone so that the step is a process of its own, like every other tool.
import { checkNames } from './names.ts';
import { renderProblems } from './problem.ts';
import { checkTexts } from './texts.ts';

const problems = [...(await checkNames('.')), ...(await checkTexts('.'))];
process.stdout.write(renderProblems(problems));
process.exitCode = problems.length === 0 ? 0 : 1;
