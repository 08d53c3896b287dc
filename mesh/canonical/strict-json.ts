// Reads JSON that others will read too, and refuses whatever two readers could understand differently.
// It stands alone because JSON.parse keeps the last of two equal keys and rounds integers without a word (RFC 8259 §4, §6).
import { JsonRefused } from './json-refused.ts';
import { maxCanonicalDepth, type JsonValue } from './json.ts';

export interface StrictJsonLimits {
  /** Bytes of UTF-8 at most. */
  readonly maxBytes: number;
  /** Levels of arrays and objects at most; a scalar is level 0. Never more than {@link maxCanonicalDepth}. */
  readonly maxDepth: number;
}

const whitespace = /[\t\n\r ]*/y;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// A string up to its closing quote; escapes are checked by JSON.parse of just this piece.
// oxlint-disable-next-line no-control-regex -- RFC 8259 §7: control characters must be escaped, so they end the match
const string = /"[^"\\\u0000-\u001f]*(?:\\.[^"\\\u0000-\u001f]*)*"/y;
const literals: readonly (readonly [string, JsonValue])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/** Walks one text from left to right; each method starts at `at` and leaves it behind what it has read. */
class Reader {
  private at = 0;
  private readonly text: string;
  private readonly maxDepth: number;
  /** Where the reader is in the document; its length is the depth. */
  private readonly place: (string | number)[] = [];

  constructor(text: string, maxDepth: number) {
    this.text = text;
    this.maxDepth = maxDepth;
  }

  document(): JsonValue {
    const value = this.value();
    this.skip();
    if (this.at !== this.text.length) this.refuse('nothing may follow the value');
    return value;
  }

  private refuse(rule: string): never {
    throw new JsonRefused(rule, this.place);
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private skip(): void {
    this.match(whitespace);
  }

  /** Skips whitespace and takes the character if it comes next. */
  private take(character: string): boolean {
    this.skip();
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  private value(): JsonValue {
    if (this.take('{')) return this.object();
    if (this.take('[')) return this.array();
    if (this.text[this.at] === '"') return this.string();
    for (const [word, value] of literals) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  /** Called behind the bracket that opens a level. */
  private enter(): void {
    if (this.place.length >= this.maxDepth) this.refuse(`at most ${this.maxDepth} levels deep`);
  }

  private object(): JsonValue {
    this.enter();
    const members: Record<string, JsonValue> = {};
    if (this.take('}')) return members;
    do {
      this.skip();
      const key = this.string();
      if (Object.hasOwn(members, key)) this.refuse('a key may appear once');
      if (!this.take(':')) this.refuse('a colon must follow a key');
      this.place.push(key);
      const value = this.value();
      this.place.pop();
      // defineProperty because assigning `__proto__` would change the prototype instead of making a member.
      if (key === '__proto__')
        Object.defineProperty(members, key, { value, enumerable: true, configurable: true, writable: true });
      else members[key] = value;
    } while (this.take(','));
    if (!this.take('}')) this.refuse('an object must be closed');
    return members;
  }

  private array(): JsonValue {
    this.enter();
    const elements: JsonValue[] = [];
    if (this.take(']')) return elements;
    do {
      this.place.push(elements.length);
      elements.push(this.value());
      this.place.pop();
    } while (this.take(','));
    if (!this.take(']')) this.refuse('an array must be closed');
    return elements;
  }

  private string(): string {
    const raw = this.match(string) ?? this.refuse('text must be quoted, closed and free of control characters');
    let text: string;
    try {
      text = raw.includes('\\') ? String(JSON.parse(raw)) : raw.slice(1, -1);
    } catch {
      return this.refuse('an escape must be one of RFC 8259 §7');
    }
    if (!text.isWellFormed()) this.refuse('text must hold no lone surrogate');
    return text;
  }

  private number(): number {
    const raw = this.match(number) ?? this.refuse('a JSON value is expected');
    const value = Number(raw);
    if (!Number.isFinite(value)) this.refuse('a number must be finite');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) this.refuse('an integer must lie within ±(2^53-1)');
    return value;
  }
}

function decode(text: string | Uint8Array, maxBytes: number): string {
  const tooLarge = `at most ${maxBytes} bytes`;
  // A string has at least as many bytes as characters, so a huge one is refused before it is measured.
  if (text.length > maxBytes) throw new JsonRefused(tooLarge);
  if (typeof text === 'string') {
    if (Buffer.byteLength(text) > maxBytes) throw new JsonRefused(tooLarge);
    return text;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text);
  } catch {
    throw new JsonRefused('the bytes must be UTF-8');
  }
}

/**
 * The value of a JSON text (RFC 8259) that every conforming reader understands in the same way.
 * @throws JsonRefused for anything else: duplicate keys, lone surrogates, integers beyond ±(2^53-1), numbers too large
 * for a double, bytes that are not UTF-8, a byte-order mark, and whatever exceeds the limits.
 */
export function parseStrictJson(text: string | Uint8Array, { maxBytes, maxDepth }: StrictJsonLimits): JsonValue {
  return new Reader(decode(text, maxBytes), Math.min(maxDepth, maxCanonicalDepth)).document();
}
