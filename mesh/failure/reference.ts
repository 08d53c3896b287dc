// Writes the reference of all failure reasons from the catalogue.
// It stands alone so that the page can never say something else than the surfaces do.
import { catalogue, type FailureReason } from './catalogue.ts';

/** One reason a row, in the order of their numbers. Markdown. */
export function renderErrorReference(): string {
  const rows = (Object.keys(catalogue) as FailureReason[])
    .toSorted((left, right) => catalogue[left].number - catalogue[right].number)
    .map((reason) => {
      const { number, code, httpStatus, oauthError, retryable, sentence } = catalogue[reason];
      const error = oauthError === reason ? 'the reason' : `\`${oauthError}\``;
      return `| \`${reason}\` | ${number} | ${httpStatus} | ${error} | \`${code}\` | ${retryable ? 'yes' : 'no'} | ${sentence} |`;
    });
  return [
    '| Reason | Number | HTTP | `error` | Connect code | Retry | Meaning |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
