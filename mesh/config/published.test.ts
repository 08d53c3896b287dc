import { describe, expect, test } from 'vitest';
import {
  ConfigError,
  defineSettings,
  egressSettings,
  gatewayStsKeySettings,
  issuerSettings,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  setting,
  storeSettings,
  stsPeerSettings,
  zoneKekSettings,
  type Environment,
  type SecretFiles,
} from './index.ts';

const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('sts'),
  stores: storeSettings(),
  keys: { ...keySettings, ...gatewayStsKeySettings, ...zoneKekSettings },
  issuer: issuerSettings,
  peers: stsPeerSettings,
  egress: egressSettings,
  service: {
    failOpen: setting.flag({ name: 'JTI_FAIL_OPEN', sentence: 'For the test.', default: false, unsafe: true }),
    opaUrls: setting.urls({ name: 'OPA_URL', sentence: 'For the test.', required: true }),
    adminToken: setting.secret({ name: 'ADMIN_TOKEN', aliases: ['CARACAL_ADMIN_TOKEN'], sentence: 'For the test.' }),
  },
});

/** 32 bytes without a pattern, different for each seed. */
function key(seed: number): string {
  let state = seed * 2_654_435_761 + 97;
  return Array.from({ length: 32 }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return ((state >>> 16) & 0xff).toString(16).padStart(2, '0');
  }).join('');
}

/** A production environment without a problem. */
const good: Environment = {
  CARACAL_MODE: 'stable',
  TLS_CERT_FILE: '/etc/caracal/tls.crt',
  TLS_KEY_FILE: '/etc/caracal/tls.key',
  MESH_CA_FILE: '/etc/caracal/ca.crt',
  MESH_TRUST_DOMAIN: 'caracal.example',
  METRICS_BEARER: key(1),
  DATABASE_URL: 'postgres://caracal_sts_login:h7Gq2LwZ@db.internal.example:5432/caracal?sslmode=verify-full',
  REDIS_URL: 'rediss://:h7Gq2LwZ9x@redis.internal.example:6380',
  AUDIT_HMAC_KEY: key(2),
  STREAMS_HMAC_KEY: key(3),
  GATEWAY_STS_HMAC_KEY: key(4),
  ZONE_KEK: key(5),
  ISSUER_URL: 'https://sts.example.com',
  STS_URL: 'https://sts.internal.example',
  OPA_URL: 'http://127.0.0.1:8181',
  ADMIN_TOKEN: key(6),
};

const openFiles: SecretFiles = {
  read: () => ({ text: 'a private key', isReadableByOthers: false, isOnSecretMount: false }),
};

function problems(change: Environment, files: SecretFiles = openFiles): readonly string[] {
  try {
    loadConfig(table, { ...good, ...change }, { files });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const mesh = {
  MESH_IDENTITY: 'linkerd',
  MESH_PEERS: ['sts', 'api', 'gateway', 'coordinator', 'audit']
    .map((name) => `${name}.ns.linkerd.local=${name}`)
    .join(),
};

describe('published modes', () => {
  test('start with a good environment, and rc enforces what stable does', () => {
    expect(problems({})).toEqual([]);
    expect(problems({ CARACAL_MODE: 'rc' })).toEqual([]);
    const broken = { METRICS_BEARER: undefined, INSECURE_HTTP: 'true', PORT: '9' };
    const found = problems({ ...broken, CARACAL_MODE: 'stable' });
    expect(found).toHaveLength(3);
    expect(problems({ ...broken, CARACAL_MODE: 'rc' })).toEqual(found);
    expect(problems({ ...broken, CARACAL_MODE: undefined })).toEqual(found);
    expect(problems({ ...broken, CARACAL_MODE: '' })).toEqual(found);
    expect(problems({ ...broken, CARACAL_MODE: 'dev' })).toEqual([]);
  });

  test.each<[string, Environment, readonly string[]]>([
    [
      'a missing metrics bearer',
      { METRICS_BEARER: undefined },
      ['METRICS_BEARER is required (or METRICS_BEARER_FILE)'],
    ],
    [
      'missing keys',
      { AUDIT_HMAC_KEY: undefined, STREAMS_HMAC_KEY: '', GATEWAY_STS_HMAC_KEY: undefined, ZONE_KEK: undefined },
      ['AUDIT_HMAC_KEY', 'STREAMS_HMAC_KEY', 'GATEWAY_STS_HMAC_KEY', 'ZONE_KEK'].map(
        (name) => `${name} is required (or ${name}_FILE)`,
      ),
    ],
    ['a short key', { AUDIT_HMAC_KEY: key(2).slice(2) }, ['AUDIT_HMAC_KEY must be hex of 32 bytes at least']],
    [
      'a key that is not hex',
      { STREAMS_HMAC_KEY: 'z'.repeat(64) },
      ['STREAMS_HMAC_KEY must be hex of 32 bytes at least'],
    ],
    ['a long KEK', { ZONE_KEK: `${key(5)}00` }, ['ZONE_KEK must be hex of exactly 32 bytes']],
    ['a KEK of zeroes', { ZONE_KEK: '0'.repeat(64) }, ['ZONE_KEK must not have a visible pattern: make a random key']],
    [
      'a key with a pattern',
      { AUDIT_HMAC_KEY: '0123456789abcdef'.repeat(4) },
      ['AUDIT_HMAC_KEY must not have a visible pattern: make a random key'],
    ],
    [
      'one value in two keys',
      { AUDIT_HMAC_KEY: key(3).toUpperCase() },
      ['AUDIT_HMAC_KEY and STREAMS_HMAC_KEY must not hold the same value'],
    ],
    [
      'one value in a key and the key before',
      { ZONE_KEK_PREVIOUS: key(5) },
      ['ZONE_KEK and ZONE_KEK_PREVIOUS must not hold the same value'],
    ],
    ['INSECURE_HTTP', { INSECURE_HTTP: '1' }, ['INSECURE_HTTP is allowed in dev only: unset it']],
    ['INSECURE_STS', { INSECURE_STS: 'yes' }, ['INSECURE_STS is allowed in dev only: unset it']],
    ['a fail-open setting', { JTI_FAIL_OPEN: 'on' }, ['JTI_FAIL_OPEN is allowed in dev only: unset it']],
    [
      'loopback upstreams',
      { UPSTREAM_DEV_LOOPBACK_HOSTS: '127.0.0.1:9999' },
      ['UPSTREAM_DEV_LOOPBACK_HOSTS is allowed in dev only: unset it'],
    ],
    [
      'a plaintext listener',
      { TLS_CERT_FILE: undefined, TLS_KEY_FILE: undefined },
      ['TLS_CERT_FILE and TLS_KEY_FILE must be set, or MESH_IDENTITY declared: plaintext is refused'],
    ],
    ['half of TLS', { TLS_KEY_FILE: undefined }, ['TLS_CERT_FILE and TLS_KEY_FILE must be set together']],
    [
      'no way to recognise peers',
      { MESH_CA_FILE: undefined },
      ['MESH_CA_FILE is required, or MESH_IDENTITY declared: no peer could be recognised'],
    ],
    [
      'a CA without trust domain',
      { MESH_TRUST_DOMAIN: undefined },
      ['MESH_TRUST_DOMAIN is required with MESH_CA_FILE'],
    ],
    ['the wrong port', { PORT: '8081' }, ['PORT must be 8080']],
    [
      'http:// beyond loopback',
      { STS_URL: 'http://sts:8080' },
      ['STS_URL must use https:// to a host that is not loopback, unless MESH_IDENTITY is declared'],
    ],
    [
      'http:// in a list',
      { OPA_URL: 'http://localhost:8181, http://opa:8181' },
      ['OPA_URL must use https:// to a host that is not loopback, unless MESH_IDENTITY is declared'],
    ],
    [
      'redis:// beyond loopback',
      { REDIS_URL: 'redis://:h7Gq2LwZ9x@redis:6379', AUDIT_STREAM_URL: 'redis://audit-redis:6379' },
      ['REDIS_URL', 'AUDIT_STREAM_URL'].map(
        (name) => `${name} must use rediss:// to a host that is not loopback, unless MESH_IDENTITY is declared`,
      ),
    ],
    [
      'a placeholder as bearer',
      { METRICS_BEARER: `change-me-${key(9)}` },
      ['METRICS_BEARER must not be a placeholder'],
    ],
    ['a short token', { ADMIN_TOKEN: key(6).slice(0, 31) }, ['ADMIN_TOKEN must have 32 characters at least']],
    [
      'a placeholder as password of a store',
      { DATABASE_URL: 'postgres://caracal:postgres@127.0.0.1/caracal' },
      ['DATABASE_URL must not hold a placeholder as password'],
    ],
  ])('refuse %s', (_, change, expected) => {
    expect(problems(change)).toEqual(expected);
  });

  test.each([
    '',
    '?sslmode=require',
    '?sslmode=verify-ca',
    '?sslmode=verify-full&sslmode=disable',
    '?sslmode=verify-full&ssl=false',
    '?ssl=true',
  ])('refuse Postgres beyond loopback with %j', (query) => {
    const expected =
      'DATABASE_URL must say sslmode=verify-full to a host that is not loopback, unless MESH_IDENTITY is declared';
    expect(problems({ DATABASE_URL: `postgres://u:h7Gq2LwZ@db:5432/c${query}` })).toEqual([expected]);
    // A host parameter leads elsewhere than the address seems to.
    const detour = query === '' ? '?host=db' : `${query}&host=db`;
    expect(problems({ DATABASE_URL: `postgres://u:h7Gq2LwZ@localhost/c${detour}` })).toEqual([expected]);
  });

  test('accept plaintext stores on loopback and on local sockets', () => {
    for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '[::1]']) {
      expect(
        problems({ DATABASE_URL: `postgres://u:h7Gq2LwZ@${host}:5432/c`, REDIS_URL: `redis://${host}:6379` }),
      ).toEqual([]);
    }
    expect(problems({ DATABASE_URL: 'postgres:///caracal?host=/run/postgresql' })).toEqual([]);
    for (const host of ['localhost.evil.example', '127.0.0.1.evil.example', '0.0.0.0', '10.0.0.1']) {
      expect(problems({ REDIS_URL: `redis://${host}:6379` })).toHaveLength(1);
    }
  });

  test('accept plaintext everywhere under a declared mesh, whose map of peers is complete', () => {
    const plain = {
      TLS_CERT_FILE: undefined,
      TLS_KEY_FILE: undefined,
      MESH_CA_FILE: undefined,
      MESH_TRUST_DOMAIN: undefined,
      STS_URL: 'http://sts:8080',
      REDIS_URL: 'redis://redis:6379',
      DATABASE_URL: 'postgres://u:h7Gq2LwZ@db/c',
    };
    expect(problems({ ...plain, ...mesh })).toEqual([]);
    expect(problems({ ...plain, ...mesh, MESH_PEERS: 'a=sts,b=api,c=gateway' })).toEqual([
      'MESH_PEERS must map an identity to each service; missing: coordinator, audit',
    ]);
    expect(problems({ ...plain, ...mesh, MESH_PEERS: undefined })).toHaveLength(1);
    expect(problems({ ...plain, ...mesh, MESH_PEERS: 'a=sts,a=api' })[0]).toMatch(/^MESH_PEERS must be/);
    expect(problems({ MESH_PEERS: mesh.MESH_PEERS })).toEqual([
      'MESH_PEERS needs MESH_IDENTITY: without it no asserted identity is believed',
    ]);
    expect(problems({ ...mesh, INSECURE_HTTP: 'true' })).toEqual(['INSECURE_HTTP is allowed in dev only: unset it']);
  });

  test('refuse files with secrets that others can read, unless they lie on a mount for secrets', () => {
    const readable = (isOnSecretMount: boolean): SecretFiles => ({
      read: () => ({ text: `${key(7)}\n`, isReadableByOthers: true, isOnSecretMount }),
    });
    const change = { AUDIT_HMAC_KEY: undefined, AUDIT_HMAC_KEY_FILE: '/secrets/audit' };
    const found = problems(change, readable(false));
    expect(found).toHaveLength(2);
    expect(found[0]).toMatch(/^TLS_KEY_FILE names a file that others can read/);
    expect(found[1]).toMatch(/^AUDIT_HMAC_KEY \(as AUDIT_HMAC_KEY_FILE\) names a file that others can read/);
    expect(problems(change, readable(true))).toEqual([]);
    expect(problems({ ...change, CARACAL_MODE: 'dev' }, readable(false))).toEqual([]);
  });

  test('say everything at once and never a value', () => {
    const values = {
      METRICS_BEARER: 'canary-bearer',
      AUDIT_HMAC_KEY: 'canary-key',
      ZONE_KEK: 'ab'.repeat(32),
      DATABASE_URL: 'postgres://canary:password@canary-db/caracal',
      REDIS_URL: 'redis://:canary-pass@canary-redis',
      STS_URL: 'http://canary-sts:8080',
      ISSUER_URL: 'https://canary:canary@sts.example.com',
      OPA_URL: 'ftp://canary-opa',
      PORT: '31337',
      LOG_LEVEL: 'canary-loud',
      INSECURE_STS: 'canary-maybe',
      MESH_TRUST_DOMAIN: 'CANARY.example',
      TLS_KEY_FILE: undefined,
    };
    const found = problems(values);
    expect(found).toHaveLength(14);
    const said = found.join('\n');
    for (const value of ['canary', 'CANARY', 'abab', '31337']) expect(said).not.toContain(value);
  });
});
