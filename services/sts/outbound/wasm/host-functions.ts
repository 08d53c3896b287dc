// The functions that compiled policies call in their host: those which the compiler's library lacks, for the arguments for
// which they are plainly defined. For all others the evaluation is given up, and OPA's server answers with its own.

class GivenUp extends Error {}

/** Nothing but ASCII, where every library agrees. */
// oxlint-disable-next-line no-control-regex -- the control characters of ASCII have no case
const ascii = /^[\u0000-\u007F]*$/;
/** A verb of Go's fmt without flags. */
const verbs = /%[%vsd]|%/g;

function asciiText(value: unknown): string {
  if (typeof value === 'string' && ascii.test(value)) return value;
  throw new GivenUp();
}

function formatted(verb: string, value: unknown): string {
  const isWhole = typeof value === 'number' && Number.isSafeInteger(value);
  if (verb === '%d' && isWhole) return String(value);
  if (verb === '%s' && typeof value === 'string') return value;
  if (verb === '%v' && (typeof value === 'string' || typeof value === 'boolean' || isWhole)) return String(value);
  throw new GivenUp();
}

function sprintf(format: unknown, values: unknown): string {
  if (typeof format !== 'string' || !Array.isArray(values)) throw new GivenUp();
  let used = 0;
  const text = format.replace(verbs, (verb) => {
    if (verb === '%%') return '%';
    if (used >= values.length) throw new GivenUp();
    used += 1;
    return formatted(verb, values[used - 1]);
  });
  if (used !== values.length) throw new GivenUp();
  return text;
}

/** The function's value; throws when nobody here can say. */
export function hostFunction(name: string, args: readonly unknown[]): unknown {
  switch (name) {
    case 'caracal.lower':
      return asciiText(args[0]).toLowerCase();
    case 'caracal.upper':
      return asciiText(args[0]).toUpperCase();
    case 'sprintf':
      return sprintf(args[0], args[1]);
    default:
      throw new GivenUp();
  }
}
