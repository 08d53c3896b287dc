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

  constructor(rule: string, place: Place = []) {
    super(`The JSON document was refused: ${rule}.`);
    this.name = 'JsonRefused';
    this.rule = rule;
    // Keys come from outside: a path is cut so that a hostile document cannot fill a log line.
    this.path = placeText(place).slice(0, 200);
  }
}

/** The names and indexes that lead to a place in a document, outermost first. */
export type Place = readonly (string | number)[];

/** A place as `scopes[3].name`; empty for the document as a whole. */
function placeText(place: Place): string {
  let text = '';
  for (const step of place) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}
