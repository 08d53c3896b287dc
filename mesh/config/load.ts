// Turns an environment into a service's configuration, or says everything that is wrong with it at once.
// It stands alone because every service starts here, and nothing else ever reads the environment.
import { ConfigError } from './config-error.ts';
import { modes, type Mode } from './mode.ts';
import { situationProblems } from './published.ts';
import { resolve, type Environment, type Resolved } from './resolve.ts';
import { hostFiles, type SecretFiles } from './secret-files.ts';
import type { ConfigOf, SettingTable } from './setting.ts';

/** Adds what is wrong between this service's own settings. Problems name variables and never hold a value. */
export type ExtraChecks<T extends SettingTable> = (config: ConfigOf<T>, problems: string[]) => void;

export interface LoadOptions<T extends SettingTable> {
  /** Runs only once every value is well formed. */
  readonly checks?: ExtraChecks<T> | undefined;
  /** Reads `NAME_FILE` files; the machine's own by default. */
  readonly files?: SecretFiles | undefined;
}

/** The mode the environment asks for: unset, empty or unknown is the strictest. */
function modeOf(env: Environment): Mode {
  const asked = env['CARACAL_MODE'];
  return modes.find((mode) => mode === asked) ?? 'stable';
}

interface Row {
  readonly group: string;
  readonly key: string;
  readonly resolved: Resolved;
}

function freezeList(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze(value) : value;
}

function build(table: SettingTable, rows: readonly Row[]): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const groups = Object.keys(table).map((group) => {
    const own = rows.filter((row) => row.group === group);
    return [
      group,
      Object.freeze(Object.fromEntries(own.map(({ key, resolved }) => [key, freezeList(resolved.value)]))),
    ];
  });
  return Object.freeze(Object.fromEntries(groups));
}

function byName(rows: readonly Row[]): ReadonlyMap<string, Resolved> {
  const found = new Map<string, Resolved>();
  for (const { resolved } of rows) {
    const { name } = resolved.setting;
    if (found.has(name)) throw new TypeError(`the table declares ${name} twice`);
    found.set(name, resolved);
  }
  return found;
}

/**
 * The frozen configuration of a service. Reads nothing but its arguments and the files that `NAME_FILE` variables name.
 *
 * In a service's config.ts:
 *
 * ```ts
 * export const table = defineSettings({
 *   mode: modeSettings,
 *   listener: listenerSettings('sts'),
 *   stores: storeSettings(),
 *   keys: { ...keySettings, ...gatewayStsKeySettings, ...zoneKekSettings },
 *   policy: {
 *     opaUrls: setting.urls({ name: 'OPA_URL', sentence: 'Where OPA answers.', required: true }),
 *     timeoutMs: setting.duration({ name: 'OPA_TIMEOUT', sentence: '…', default: 250, minMs: 10, maxMs: 5000 }),
 *   },
 * });
 * export type StsConfig = ConfigOf<typeof table>;
 * export const loadStsConfig = (env: Environment): StsConfig => loadConfig(table, env);
 * ```
 *
 * Then `config.listener.port` is a number and `config.keys.zoneKek` a Buffer. The third argument takes rules between the
 * service's own settings, alone or with a reader of files.
 *
 * @throws ConfigError with every problem: unset, malformed, contradicting, and in rc and stable everything unsafe.
 */
export function loadConfig<const T extends SettingTable>(
  table: T,
  env: Environment,
  options: LoadOptions<T> | ExtraChecks<T> = {},
): ConfigOf<T> {
  const { checks, files = hostFiles } = typeof options === 'function' ? { checks: options } : options;
  const isPublished = modeOf(env) !== 'dev';
  const sources = { env, files, isPublished };
  const rows = Object.entries(table).flatMap(([group, settings]) =>
    Object.entries(settings).map(([key, setting]) => ({ group, key, resolved: resolve(setting, sources) })),
  );
  const resolved = byName(rows);
  const problems = [...rows.flatMap((row) => row.resolved.problems), ...situationProblems({ resolved, isPublished })];
  const isComplete = rows.every((row) => row.resolved.problems.length === 0);
  // Each group has exactly the keys of its settings, and each value came out of that setting's own parser.
  const config = build(table, rows) as ConfigOf<T>;
  if (isComplete) checks?.(config, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}
