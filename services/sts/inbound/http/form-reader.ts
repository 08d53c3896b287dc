// Reads one form field by field and collects everything that is wrong with it, so that a caller sees all of it at once.
// An empty value counts as absent (RFC 6749 §3.2) and no value is ever repeated in an error.
import { fail } from '#mesh/failure';
import type { FieldViolation } from '#mesh/failure';
import { isTextId } from '#mesh/ids';

export class FormReader {
  readonly #violations: FieldViolation[] = [];
  readonly #form: URLSearchParams;

  constructor(form: URLSearchParams) {
    this.#form = form;
  }

  refuse(path: string, rule: string): void {
    this.#violations.push({ path, rule });
  }

  /** Throws `invalid_request` with every rule that was broken so far. */
  assertClean(): void {
    if (this.#violations.length > 0) throw fail('invalid_request', { fields: this.#violations });
  }

  /** Every value of a field that may be repeated. */
  all(name: string): readonly string[] {
    return this.#form.getAll(name).filter((value) => value !== '');
  }

  /** The one value; undefined when absent or empty. */
  one(name: string): string | undefined {
    const values = this.#form.getAll(name);
    if (values.length > 1) this.refuse(name, 'at most once');
    const [value] = values;
    return value === undefined || value === '' ? undefined : value;
  }

  id(name: string): string | undefined {
    const value = this.one(name);
    if (value !== undefined && !isTextId(value)) this.refuse(name, '1 to 128 of A-Z a-z 0-9 _ . : -');
    return value;
  }

  /** An id that must be there; the empty string beside a violation when it is not. */
  requiredId(name: string): string {
    const value = this.id(name);
    if (value === undefined) this.refuse(name, 'required');
    return value ?? '';
  }

  text(name: string, maxLength: number): string | undefined {
    const value = this.one(name);
    if (value !== undefined && value.length > maxLength) this.refuse(name, `at most ${maxLength} characters`);
    return value;
  }

  /** A whole number of at most nine digits. */
  wholeNumber(name: string, unit: string): number | undefined {
    const value = this.one(name);
    if (value === undefined) return undefined;
    if (!/^\d{1,9}$/.test(value)) this.refuse(name, `a whole number of ${unit}`);
    return Number(value);
  }
}
