// The kinds of setting a service can declare.
// They stand together so that a service's config.ts reads like the reference page made from it.
import { formatDuration, parseDuration } from './duration.ts';
import { isPlaceholder, isWeakKey } from './secrets.ts';
import {
  accept,
  builder,
  makeSetting,
  refuse,
  type Concern,
  type Described,
  type Parsed,
  type Setting,
} from './setting.ts';
import { addressForms, parseAddress, type AddressKind } from './url-setting.ts';

/** No value of ours is longer; a whole certificate belongs into a file. */
const maxTextLength = 8192;
/** Entries of a list; lists name hosts, addresses and peers. */
const maxItems = 256;

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const control = /[\u0000-\u001f\u007f]/;

interface TextOptions {
  /** The whole value must match. */
  readonly pattern?: RegExp | undefined;
  /** How a value is written; needed with a pattern. */
  readonly form?: string | undefined;
}

/** A line of text. */
const text = builder<string, TextOptions>(({ pattern, form = 'text' }) => ({
  form,
  parse: (raw) =>
    control.test(raw) || (pattern !== undefined && !pattern.test(raw)) ? refuse(`must be ${form}`) : accept(raw),
}));

/** The path of a file. The file itself is read by whoever uses it. */
const path = builder<string, { readonly privateFile?: boolean | undefined }>(({ privateFile }) => ({
  form: privateFile === true ? 'the path of a file that others cannot read' : 'a path',
  privateFile,
  parse: (raw) => (control.test(raw) ? refuse('must be a path') : accept(raw)),
}));

interface IntegerOptions {
  readonly min: number;
  readonly max: number;
  /** The one value rc and stable accept. */
  readonly publishedOnly?: number | undefined;
}

/** A whole number within bounds. The unit belongs into the name. */
const integer = builder<number, IntegerOptions>(({ min, max, publishedOnly }) => ({
  form: `a whole number from ${min} to ${max}`,
  parse: (raw) => {
    const value = Number(raw);
    if (!/^-?\d{1,15}$/.test(raw) || value < min || value > max)
      return refuse(`must be a whole number from ${min} to ${max}`);
    const isOther = publishedOnly !== undefined && value !== publishedOnly;
    return accept(value, isOther ? [{ rule: `must be ${publishedOnly}` }] : []);
  },
}));

interface DurationOptions {
  readonly minMs: number;
  readonly maxMs: number;
}

/** A Go duration, as milliseconds. */
const duration = builder<number, DurationOptions>(({ minMs, maxMs }) => {
  const form = `a duration such as 5s or 500ms, from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return {
    form,
    show: formatDuration,
    parse: (raw) => {
      const ms = parseDuration(raw);
      return ms === undefined || ms < minMs || ms > maxMs ? refuse(`must be ${form}`) : accept(ms);
    },
  };
});

interface FlagOptions {
  /** Weakens protection: rc and stable refuse it. */
  readonly unsafe?: boolean | undefined;
}

/** true or false. */
const flag = builder<boolean, FlagOptions>(({ unsafe }) => ({
  form: 'true or false',
  parse: (raw) => {
    const word = raw.toLowerCase();
    if (['0', 'false', 'no', 'off'].includes(word)) return accept(false);
    if (!['1', 'true', 'yes', 'on'].includes(word)) return refuse('must be true or false');
    return accept(true, unsafe === true ? [{ rule: 'is allowed in dev only: unset it' }] : []);
  },
}));

/** One of the given words: `setting.choice(['a', 'b'], { name, sentence, default: 'a' })`. */
function choice<const W extends readonly string[]>(
  words: W,
  options: Described & { readonly required: true },
): Setting<W[number]>;
function choice<const W extends readonly string[]>(
  words: W,
  options: Described & { readonly default: W[number] },
): Setting<W[number]>;
function choice<const W extends readonly string[]>(words: W, options: Described): Setting<W[number] | undefined>;
function choice<const W extends readonly string[]>(words: W, options: Described): Setting<W[number] | undefined> {
  const isWord = (raw: string): raw is W[number] => words.includes(raw);
  const form = `one of ${words.join(', ')}`;
  return makeSetting<W[number] | undefined>(options, {
    form,
    parse: (raw) => (isWord(raw) ? accept(raw) : refuse(`must be ${form}`)),
  });
}

interface HexKeyOptions {
  /** Exactly so many bytes; otherwise 32 at least. */
  readonly bytes?: number | undefined;
  /** Refuses keys with a visible pattern in dev too. */
  readonly refuseWeak?: boolean | undefined;
}

/** HMAC-SHA-256 and HKDF give no more strength than their key has; 32 bytes is the digest's own size. */
const minKeyBytes = 32;

/** A key in hex, as bytes. A secret: `NAME_FILE` works. */
const hexKey = builder<Buffer, HexKeyOptions>(({ bytes, refuseWeak }) => {
  const form = bytes === undefined ? `hex of ${minKeyBytes} bytes at least` : `hex of exactly ${bytes} bytes`;
  const isSized = (length: number): boolean => (bytes === undefined ? length >= minKeyBytes : length === bytes);
  return {
    form,
    secret: true,
    distinct: true,
    parse: (raw) => {
      if (!/^(?:[0-9a-fA-F]{2})+$/.test(raw) || !isSized(raw.length / 2)) return refuse(`must be ${form}`);
      const key = Buffer.from(raw, 'hex');
      const rule = 'must not have a visible pattern: make a random key';
      if (!isWeakKey(key)) return accept(key);
      return refuseWeak === true ? refuse(rule) : accept(key, [{ rule }]);
    },
  };
});

interface SecretOptions {
  /** Fewest characters in rc and stable. 32 unless said otherwise. */
  readonly minLength?: number | undefined;
  /** May hold line breaks, as a PEM block does. */
  readonly lines?: boolean | undefined;
}

/** A bearer of 32 characters is beyond guessing even when it is hex. */
const minSecretLength = 32;

/** A secret text: token, password, PEM. `NAME_FILE` works. */
const secret = builder<string, SecretOptions>(({ minLength = minSecretLength, lines }) => ({
  form: lines === true ? 'a secret of several lines' : 'a secret',
  secret: true,
  distinct: true,
  parse: (raw) => {
    if (lines !== true && control.test(raw)) return refuse('must be one line');
    const concerns: Concern[] = [];
    if (raw.length < minLength) concerns.push({ rule: `must have ${minLength} characters at least` });
    if (isPlaceholder(raw)) concerns.push({ rule: 'must not be a placeholder' });
    return accept(raw, concerns);
  },
}));

interface UrlOptions {
  readonly kind?: AddressKind | undefined;
}

/** An address. Those of stores are secrets, because they may hold a password: `NAME_FILE` works. */
const url = builder<string, UrlOptions>(({ kind = 'http' }) => ({
  form: addressForms[kind],
  secret: kind !== 'http',
  parse: (raw) => parseAddress(raw, kind),
}));

function items(raw: string): readonly string[] {
  const parts = raw.split(',').map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}

interface ListOptions {
  /** Each entry must match. */
  readonly pattern?: RegExp | undefined;
  readonly form?: string | undefined;
  /** rc and stable accept only an empty list. */
  readonly devOnly?: boolean | undefined;
}

/** Comma-separated entries, trimmed, each once. */
const list = builder<readonly string[], ListOptions>(({ pattern, form = 'comma-separated entries', devOnly }) => ({
  form,
  show: (entries) => (entries.length === 0 ? 'none' : entries.join(',')),
  parse: (raw) => {
    const entries = items(raw);
    if (entries.length > maxItems) return refuse(`must have ${maxItems} entries at most`);
    if (control.test(raw) || !entries.every((entry) => pattern?.test(entry) ?? true)) return refuse(`must be ${form}`);
    return accept(
      entries,
      devOnly === true && entries.length > 0 ? [{ rule: 'is allowed in dev only: unset it' }] : [],
    );
  },
}));

/** Comma-separated http addresses. */
const urls = builder<readonly string[], object>(() => ({
  form: `comma-separated, each ${addressForms.http}`,
  show: (entries) => (entries.length === 0 ? 'none' : entries.join(',')),
  parse: (raw) => {
    const entries = items(raw);
    if (entries.length > maxItems) return refuse(`must have ${maxItems} entries at most`);
    const values: string[] = [];
    const concerns: Concern[] = [];
    for (const entry of entries) {
      const parsed = parseAddress(entry, 'http');
      if (!parsed.ok) return parsed;
      values.push(parsed.value);
      concerns.push(...(parsed.concerns ?? []));
    }
    return accept(values, concerns.slice(0, 1));
  },
}));

/** Comma-separated `key=word` pairs: `setting.map(['a', 'b'], {…})` gives each key's word. */
function map<const W extends readonly string[]>(
  words: W,
  options: Described,
): Setting<ReadonlyMap<string, W[number]> | undefined> {
  const isWord = (raw: string): raw is W[number] => words.includes(raw);
  const form = `comma-separated name=word pairs, word being one of ${words.join(', ')}`;
  const parse = (raw: string): Parsed<ReadonlyMap<string, W[number]>> => {
    const pairs = new Map<string, W[number]>();
    for (const entry of items(raw)) {
      const cut = entry.lastIndexOf('=');
      const [name, word] = [entry.slice(0, cut), entry.slice(cut + 1)];
      if (cut < 1 || !isWord(word) || control.test(name) || pairs.has(name))
        return refuse(`must be ${form}, each name once`);
      pairs.set(name, word);
    }
    return pairs.size > maxItems ? refuse(`must have ${maxItems} entries at most`) : accept(pairs);
  };
  return makeSetting<ReadonlyMap<string, W[number]> | undefined>(options, { form, parse });
}

/** Longest text any setting may have; checked before it is parsed. */
export const maxValueLength = maxTextLength;

/** Builders of settings, one per kind. */
export const setting = { text, path, integer, duration, flag, choice, hexKey, secret, url, urls, list, map } as const;
