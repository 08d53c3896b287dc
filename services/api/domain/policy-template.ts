// A starter policy as it is offered: what it is for, and which data it reads. Without data none allows anything.

export interface TemplateParameter {
  readonly name: string;
  readonly description: string;
}

export interface PolicyTemplate {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /**
   * `grants` allows what its data names; `guards` only denies, and has no opinion otherwise: it stands beside one that
   * grants.
   */
  readonly role: 'grants' | 'guards';
  /** Rego, ready to be stored as a policy. */
  readonly content: string;
  /** What it reads of the set version's data. */
  readonly parameters: readonly TemplateParameter[];
  /** That data, as an example of its form. */
  readonly exampleParams: Readonly<Record<string, unknown>>;
}
