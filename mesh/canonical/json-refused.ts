// The one error of this library: a JSON text or value that has no single meaning.
// It stands alone so that reader and writer refuse in the same words.

/**
 * A JSON text or value was refused. The message names the rule and never the value; `failureReason` makes it
 * `invalid_request` wherever it is turned into a failure (#mesh/failure, asFailure).
 */
export class JsonRefused extends Error {
  readonly failureReason = 'invalid_request';
  /** The rule that was broken, as a sentence. */
  readonly rule: string;
  /** Where in the document, cut to 200 characters; empty for the document as a whole. */
  readonly path: string;

  constructor(rule: string, path: string) {
    super(`The JSON document was refused: ${rule}.`);
    this.name = 'JsonRefused';
    this.rule = rule;
    // Keys come from outside: a path is cut so that a hostile document cannot fill a log line.
    this.path = path.slice(0, 200);
  }
}
