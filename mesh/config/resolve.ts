// Finds the value of one setting: in its variable, under another of its names, in the file `NAME_FILE` names, or its default.
// It stands alone so that precedence is one rule for all settings.
import { maxValueLength } from './builders.ts';
import type { SecretFile, SecretFiles } from './secret-files.ts';
import type { Concern, Setting } from './setting.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A setting with what was found for it. */
export interface Resolved {
  readonly setting: Setting<unknown>;
  /** The parsed value or the default; undefined when there is neither, or when there are problems. */
  readonly value: unknown;
  readonly isSet: boolean;
  /** The exact text, for comparing secrets with each other; never shown. */
  readonly text: string | undefined;
  /** What is wrong in every mode. */
  readonly problems: readonly string[];
  /** What is wrong in rc and stable. */
  readonly concerns: readonly Concern[];
}

interface Found {
  readonly text: string;
  readonly concerns: readonly Concern[];
}

type Finding = { readonly found: Found | undefined } | { readonly problem: string };

/** The rule about who may read a secret's file. */
const openFile: Concern = {
  rule: 'names a file that others can read: take that right away, or mount it read-only, as tmpfs, or under /run/secrets',
};

function privacyConcerns(file: SecretFile): readonly Concern[] {
  return file.isReadableByOthers && !file.isOnSecretMount ? [openFile] : [];
}

function errorCode(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  // Codes are words of the operating system; nothing else of the error is shown, it may repeat the path.
  return typeof code === 'string' && /^E[A-Z0-9]{1,15}$/.test(code) ? code : 'unknown error';
}

function readFile(variable: string, path: string, files: SecretFiles): Finding {
  let file: SecretFile;
  try {
    file = files.read(path);
  } catch (error) {
    return { problem: `${variable} names a file that cannot be read (${errorCode(error)})` };
  }
  const text = file.text.trimEnd();
  if (text === '') return { problem: `${variable} names an empty file` };
  const concerns = privacyConcerns(file).map(({ rule }) => ({ rule: `(as ${variable}) ${rule}` }));
  return { found: { text, concerns } };
}

/** An empty variable counts as unset: that is how templates leave one out. */
function present(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

function findUnder(name: string, isSecret: boolean, { env, files }: Sources): Finding {
  const direct = env[name];
  if (present(direct)) return { found: { text: direct, concerns: [] } };
  const variable = `${name}_FILE`;
  const path = isSecret ? env[variable] : undefined;
  return present(path) ? readFile(variable, path, files) : { found: undefined };
}

export interface Sources {
  readonly env: Environment;
  readonly files: SecretFiles;
  readonly isPublished: boolean;
}

/** Looks under every name of the setting; two names with different values contradict each other. */
function find({ name, aliases, secret }: Setting<unknown>, sources: Sources): Finding {
  let first: { readonly name: string; readonly found: Found } | undefined;
  for (const candidate of [name, ...aliases]) {
    const finding = findUnder(candidate, secret, sources);
    if ('problem' in finding) return finding;
    if (finding.found === undefined) continue;
    if (first === undefined) first = { name: candidate, found: finding.found };
    else if (first.found.text !== finding.found.text)
      return { problem: `${first.name} and ${candidate} must not differ` };
  }
  return { found: first?.found };
}

function missing({ name, presence, secret }: Setting<unknown>, isPublished: boolean): readonly string[] {
  const isNeeded = presence === 'required' || (presence === 'published' && isPublished);
  if (!isNeeded) return [];
  return [`${name} is required${secret ? ` (or ${name}_FILE)` : ''}`];
}

function privateFileConcerns({ privateFile }: Setting<unknown>, path: string, sources: Sources): readonly Concern[] {
  if (!privateFile || !sources.isPublished) return [];
  try {
    return privacyConcerns(sources.files.read(path));
  } catch (error) {
    return [{ rule: `names a file that cannot be read (${errorCode(error)})` }];
  }
}

/** What the environment says about one setting. */
export function resolve(setting: Setting<unknown>, sources: Sources): Resolved {
  const unset = { setting, value: undefined, isSet: false, text: undefined, concerns: [] };
  const finding = find(setting, sources);
  if ('problem' in finding) return { ...unset, isSet: true, problems: [finding.problem] };
  if (finding.found === undefined) {
    const value = setting.fallback(sources.isPublished);
    return { ...unset, value, problems: missing(setting, sources.isPublished) };
  }
  const { text, concerns } = finding.found;
  const parsed = text.length > maxValueLength ? { ok: false as const, rule: 'is too long' } : setting.parse(text);
  if (!parsed.ok) return { ...unset, isSet: true, problems: [`${setting.name} ${parsed.rule}`] };
  const all = [...concerns, ...(parsed.concerns ?? []), ...privateFileConcerns(setting, text, sources)];
  return { setting, value: parsed.value, isSet: true, text, problems: [], concerns: all };
}
