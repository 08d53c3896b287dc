// One broken house rule, and how every check of the house says it: where, which rule, and the way out.
// It stands alone because all checks report alike.

export interface Problem {
  /** The file, or `file → imported file`. */
  readonly where: string;
  readonly rule: string;
  /** What to do about it, as an instruction. */
  readonly remedy: string;
}

/** Two lines per problem, the remedy under the place. */
export function renderProblems(problems: readonly Problem[]): string {
  return problems.map(({ where, rule, remedy }) => `${where}\n    ${rule}: ${remedy}\n`).join('');
}
