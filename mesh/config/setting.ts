// What a setting is: one environment variable with its form, its default and its sentence.
// It stands alone because loading, the reference page and the tests all walk the same rows.

/** Why a value that is well formed is still refused when the mode is rc or stable. */
export interface Concern {
  /** A rule as a sentence part: "must use https://". Never holds the value. */
  readonly rule: string;
  /** True when a declared service mesh (`MESH_IDENTITY`) takes care of it. */
  readonly unlessMesh?: boolean | undefined;
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly concerns?: readonly Concern[] | undefined }
  /** `rule` as in {@link Concern}. */
  | { readonly ok: false; readonly rule: string };

export interface Setting<T> {
  /** The variable, upper case. */
  readonly name: string;
  /** Older or other names that mean the same. */
  readonly aliases: readonly string[];
  readonly sentence: string;
  /** How a value is written, for the reference and for messages: "a whole number from 1 to 65535". */
  readonly form: string;
  /** `published`: must be set in rc and stable. */
  readonly presence: 'required' | 'published' | 'optional';
  /** The value is never shown, and `NAME_FILE` may name a file that holds it. */
  readonly secret: boolean;
  /** A key or token: in rc and stable no two such settings may hold the same value. */
  readonly distinct: boolean;
  /** The value is the path of a file that holds a secret; in rc and stable others may not read it. */
  readonly privateFile: boolean;
  /** The default as the reference shows it. */
  readonly defaultText: string | undefined;
  /** The value when the variable is unset; undefined when there is no default. */
  readonly fallback: (isPublished: boolean) => T | undefined;
  readonly parse: (text: string) => Parsed<T>;
}

/** Settings of one concern by the name they have in the configuration. */
export type SettingGroup = Readonly<Record<string, Setting<unknown>>>;

/** All settings of a service, grouped by concern. */
export type SettingTable = Readonly<Record<string, SettingGroup>>;

/** The configuration a table gives: the same shape with values. */
export type ConfigOf<T extends SettingTable> = {
  readonly [G in keyof T]: { readonly [S in keyof T[G]]: T[G][S] extends Setting<infer V> ? V : never };
};

/** Keeps the exact types of a table or of one group, and does nothing else. */
export function defineSettings<T extends SettingGroup | SettingTable>(table: T): T {
  return table;
}

/** What every setting is described by. */
export interface Described {
  readonly name: string;
  readonly sentence: string;
  readonly aliases?: readonly string[] | undefined;
}

/** A builder's options: required or with a default it gives T, otherwise T or undefined. */
export interface Builder<T, Options> {
  (options: Described & Options & { readonly required: true }): Setting<T>;
  (options: Described & Options & { readonly default: T; readonly publishedDefault?: T }): Setting<T>;
  (options: Described & Options & { readonly required?: 'published' }): Setting<T | undefined>;
}

/** What any overload of a builder may have been given. */
export interface AnyOptions<T> extends Described {
  readonly required?: true | 'published' | undefined;
  readonly default?: T | undefined;
  readonly publishedDefault?: T | undefined;
}

/** What a kind of setting adds to its options. */
export interface Kind<T> {
  readonly form: string;
  readonly parse: (text: string) => Parsed<T>;
  readonly show?: ((value: T) => string) | undefined;
  readonly secret?: boolean | undefined;
  readonly distinct?: boolean | undefined;
  readonly privateFile?: boolean | undefined;
}

function presenceOf(required: true | 'published' | undefined): Setting<unknown>['presence'] {
  if (required === undefined) return 'optional';
  return required === true ? 'required' : 'published';
}

/** Puts a setting together from what its author said and what its kind adds. */
export function makeSetting<T>(options: AnyOptions<T>, kind: Kind<T>): Setting<T> {
  const { name, aliases = [], sentence, required, default: always, publishedDefault } = options;
  const show = kind.show ?? String;
  const shown = always === undefined ? undefined : show(always);
  return {
    name,
    aliases,
    sentence,
    form: kind.form,
    presence: presenceOf(required),
    secret: kind.secret ?? false,
    distinct: kind.distinct ?? false,
    privateFile: kind.privateFile ?? false,
    defaultText: publishedDefault === undefined ? shown : `${show(publishedDefault)} (dev: ${shown ?? 'none'})`,
    fallback: (isPublished) => (isPublished ? (publishedDefault ?? always) : always),
    parse: kind.parse,
  };
}

/** A builder from the one function that reads its options. */
export function builder<T, Options>(kindOf: (options: Described & Options) => Kind<T>): Builder<T, Options> {
  return (options: AnyOptions<T> & Options) => makeSetting(options, kindOf(options));
}

export function accept<T>(value: T, concerns: readonly Concern[] = []): Parsed<T> {
  return { ok: true, value, concerns };
}

export function refuse(rule: string): { readonly ok: false; readonly rule: string } {
  return { ok: false, rule };
}
