import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, expectTypeOf, test } from 'vitest';
import {
  ConfigError,
  defineSettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  printConfigErrorAndExitCode,
  renderSettingsReference,
  setting,
  type ConfigOf,
  type Environment,
} from './index.ts';
import { isOnSecretMount, parseMounts } from './secret-files.ts';

const dev = { CARACAL_MODE: 'dev' };
const folder = mkdtempSync(join(tmpdir(), 'caracal-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function readMounts(): string {
  return existsSync('/proc/self/mountinfo') ? readFileSync('/proc/self/mountinfo', 'utf8') : '';
}

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const table = defineSettings({
  mode: modeSettings,
  all: {
    token: setting.secret({ name: 'TOKEN', aliases: ['OLD_TOKEN'], sentence: 'A token.' }),
    name: setting.text({ name: 'NAME', sentence: 'A name.', pattern: /^[a-z]+$/, form: 'lower case' }),
    count: setting.integer({ name: 'COUNT', sentence: 'A count.', default: 3, min: 0, max: 10 }),
    wait: setting.duration({ name: 'WAIT', sentence: 'A wait.', default: 5000, minMs: 1, maxMs: 3_600_000 }),
    flag: setting.flag({ name: 'FLAG', sentence: 'A flag.', default: false }),
    word: setting.choice(['red', 'blue'], { name: 'WORD', sentence: 'A word.', default: 'red' }),
    hosts: setting.list({ name: 'HOSTS', sentence: 'Hosts.', default: [] }),
    issuer: setting.url({ name: 'ISSUER', sentence: 'An issuer.' }),
    key: setting.hexKey({ name: 'KEY', sentence: 'A key.' }),
  },
});

function load(env: Environment): ConfigOf<typeof table>['all'] {
  return loadConfig(table, { ...dev, ...env }).all;
}

function problems(env: Environment): readonly string[] {
  try {
    load(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('loading', () => {
  test('gives defaults, types and frozen groups', () => {
    const config = loadConfig(table, dev);
    expect(config.all).toMatchObject({ count: 3, wait: 5000, flag: false, word: 'red', hosts: [], name: undefined });
    expect(Object.isFrozen(config) && Object.isFrozen(config.all) && Object.isFrozen(config.all.hosts)).toBe(true);
    expectTypeOf(config.mode.mode).toEqualTypeOf<'dev' | 'rc' | 'stable'>();
    expectTypeOf(config.all.token).toEqualTypeOf<string | undefined>();
    expectTypeOf(config.all.count).toEqualTypeOf<number>();
    expectTypeOf(config.all.word).toEqualTypeOf<'red' | 'blue'>();
    expectTypeOf(config.all.key).toEqualTypeOf<Buffer | undefined>();
    expectTypeOf(config.all.hosts).toEqualTypeOf<readonly string[]>();
  });

  test('reads each kind of value', () => {
    expect(
      load({
        COUNT: '10',
        WAIT: '1m30s',
        FLAG: 'Yes',
        WORD: 'blue',
        HOSTS: ' a, b ,,a',
        ISSUER: 'https://sts.example.com/',
        KEY: 'Ab'.repeat(40),
      }),
    ).toMatchObject({
      count: 10,
      wait: 90_000,
      flag: true,
      word: 'blue',
      hosts: ['a', 'b'],
      issuer: 'https://sts.example.com',
      key: Buffer.alloc(40, 0xab),
    });
    expect(load({ ISSUER: 'https://sts.example.com/base/' }).issuer).toBe('https://sts.example.com/base/');
  });

  test.each([
    ['COUNT', ['11', '-1', '1.5', '1e1', '0x1', ' 1', 'NaN', '99999999999999999999']],
    ['WAIT', ['5', '5 s', '-5s', '2h', '0', '1.5ms', '5S', 's']],
    ['FLAG', ['2', 'maybe', 'truе']],
    ['WORD', ['green', 'RED', 'red ']],
    ['NAME', ['A', 'a\nb', 'a'.repeat(10_000)]],
    ['TOKEN', ['a\nb', 'a\u0000b']],
    ['KEY', ['ab'.repeat(31), 'ab'.repeat(32).slice(1), 'zz'.repeat(32)]],
    ['ISSUER', ['sts.example.com', 'ftp://x', 'https://u:p@x', 'https://x?', 'https://x#f', '/x', 'https://']],
  ])('refuses a malformed %s in every mode', (name, values) => {
    for (const value of values) expect(problems({ [name]: value }), JSON.stringify(value)).toHaveLength(1);
  });

  test('takes an empty variable as unset', () => {
    expect(load({ COUNT: '', TOKEN: '', HOSTS: '' })).toMatchObject({ count: 3, token: undefined, hosts: [] });
  });

  test('runs the checks of a service once every value is well formed', () => {
    const check = (config: ConfigOf<typeof table>, found: string[]): void => {
      if (config.all.count < 5) found.push('COUNT must be above 4');
    };
    expect(() => loadConfig(table, dev, check)).toThrow('COUNT must be above 4');
    expect(loadConfig(table, { ...dev, COUNT: '5' }, { checks: check }).all.count).toBe(5);
    expect(() => loadConfig(table, { ...dev, COUNT: 'x' }, check)).toThrow(/^the configuration has 1 problem: /);
  });

  test('takes an unknown mode for the strictest and says so', () => {
    expect(() => loadConfig(table, { CARACAL_MODE: 'production' })).toThrow(
      'CARACAL_MODE must be one of dev, rc, stable',
    );
  });

  test('refuses a table that declares a variable twice', () => {
    const twice = { a: { one: table.all.name }, b: { two: table.all.name } };
    expect(() => loadConfig(twice, dev)).toThrow(TypeError);
  });

  test('listens on loopback in dev and everywhere when published', () => {
    const listener = { listener: listenerSettings('audit') };
    expect(() => loadConfig(listener, {})).toThrow('plaintext is refused');
    expect(() => loadConfig(listener, dev)).toThrow('or INSECURE_HTTP=true: plaintext is refused');
    const config = loadConfig({ mode: modeSettings, ...listener }, { ...dev, INSECURE_HTTP: 'true', PORT: '0' });
    expect(config.listener).toMatchObject({ host: '127.0.0.1', port: 0, insecureHttp: true });
  });
});

describe('secrets in files', () => {
  test('are read without the white space at their end', () => {
    expect(load({ TOKEN_FILE: file('token', 'abc def \n\n') }).token).toBe('abc def');
    expect(load({ OLD_TOKEN_FILE: file('old', 'abc\r\n') }).token).toBe('abc');
  });

  test('yield to the variable itself', () => {
    expect(load({ TOKEN: 'direct', TOKEN_FILE: '/does/not/exist' }).token).toBe('direct');
  });

  test('stop the start when they are empty, unreadable or too large, without naming the path', () => {
    expect(problems({ TOKEN_FILE: file('empty', ' \n') })).toEqual(['TOKEN_FILE names an empty file']);
    expect(problems({ TOKEN_FILE: join(folder, 'canary') })).toEqual([
      'TOKEN_FILE names a file that cannot be read (ENOENT)',
    ]);
    expect(problems({ TOKEN_FILE: folder })).toEqual(['TOKEN_FILE names a file that cannot be read (EISDIR)']);
    expect(problems({ TOKEN_FILE: file('huge', 'x'.repeat(100_000)) })).toEqual([
      'TOKEN_FILE names a file that cannot be read (EFBIG)',
    ]);
  });

  test('are meant for secrets alone', () => {
    expect(load({ COUNT_FILE: '/does/not/exist' }).count).toBe(3);
  });

  test('may not contradict another name of the same setting', () => {
    expect(load({ TOKEN: 'same', OLD_TOKEN: 'same' }).token).toBe('same');
    expect(load({ OLD_TOKEN: 'old' }).token).toBe('old');
    expect(problems({ TOKEN: 'one', OLD_TOKEN: 'two' })).toEqual(['TOKEN and OLD_TOKEN must not differ']);
  });

  test('of several lines are kept as they are', () => {
    const pem = { k: { key: setting.secret({ name: 'PEM', sentence: 'A key.', lines: true }) } };
    const text = '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----';
    expect(loadConfig(pem, { PEM_FILE: file('pem', `${text}\n`) }).k.key).toBe(text);
  });

  test('are found readable by others from their real permissions', () => {
    const secret = 'f3Zk9-qLw2Xr7Tt0PzY5mN8bVc1Ds6Ga';
    const published = { CARACAL_MODE: 'stable' };
    const open = file('open', secret, 0o604);
    expect(loadConfig(table, { ...published, TOKEN_FILE: file('closed', secret, 0o640) }).all.token).toBe(secret);
    const run = (): unknown => loadConfig(table, { ...published, TOKEN_FILE: open });
    // Where the folder for temporary files is itself tmpfs, the rule exempts it.
    if (isOnSecretMount(realpathSync(open), parseMounts(readMounts()))) expect(run).not.toThrow();
    else expect(run).toThrow('others can read');
  });
});

describe('a configuration that is refused', () => {
  test('is printed a problem a line and ends with exit code 78', () => {
    const lines: string[] = [];
    const error = new ConfigError(['A is required', 'B must be c']);
    expect(printConfigErrorAndExitCode(error, (text) => lines.push(text))).toBe(78);
    expect(lines.join('')).toBe('CONFIG_REFUSED A is required\nCONFIG_REFUSED B must be c\n');
  });
});

describe('the reference', () => {
  test('has each setting once, those of all services in a section of their own', () => {
    const own = { x: { own: setting.text({ name: 'OWN', sentence: 'Only here, a|b.' }) } };
    const page = renderSettingsReference({ sts: { ...table, ...own }, api: table });
    expect(page.match(/`COUNT`/g)).toHaveLength(1);
    expect(page).toMatch(/## All services[\s\S]*`COUNT`[\s\S]*## sts[\s\S]*`OWN`[\s\S]*## api/);
    expect(page).toContain('| `TOKEN` `TOKEN_FILE` `OLD_TOKEN` `OLD_TOKEN_FILE` | no |  | a secret | A token. |');
    expect(page).toContain('| `WAIT` | no | `5s` |');
    expect(page).toContain('a\\|b');
  });
});
