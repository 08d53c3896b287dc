import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { services } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';

const root = join(import.meta.dirname, '..', '..');
const docs = join(root, 'docs');
const settingsPage = readFileSync(join(docs, 'reference', 'settings.md'), 'utf8');
const coveragePage = readFileSync(join(docs, 'seed-coverage.md'), 'utf8');

/** A default that is no value of its own: none at all, or one in words. */
const none = '-';

const everywhere: readonly (readonly [string, string])[] = [
  ['DATABASE_URL', none],
  ['REDIS_URL', none],
  ['REDIS_PASSWORD', none],
  ['TLS_CERT_FILE', none],
  ['TLS_KEY_FILE', none],
  ['LOG_LEVEL', 'info'],
];

/** Every variable of a service in requirement document 004, with its default there. */
const seedVariables: Readonly<Record<ServiceName, readonly (readonly [string, string])[]>> = {
  sts: [
    ...everywhere,
    ['ZONE_KEK', none],
    ['OPA_URL', none],
    ['AUDIT_STREAM_URL', none],
    ['STREAMS_HMAC_KEY', none],
    ['INSECURE_HTTP', 'false'],
    ['PORT', '8080'],
  ],
  api: [
    ...everywhere,
    ['ADMIN_TOKEN', none],
    ['STS_URL', none],
    ['INSECURE_STS', 'false'],
    ['OUTBOX_POLL_MS', '250'],
    ['OUTBOX_BATCH_SIZE', '32'],
    ['OUTBOX_MAX_ATTEMPTS', '100'],
    ['PORT', '3000'],
  ],
  gateway: [
    ...everywhere,
    ['STS_URL', none],
    ['BINDINGS_RELOAD_MS', '30000'],
    ['JTI_CACHE_SIZE', '10000'],
    ['PORT', '8081'],
  ],
  coordinator: [
    ...everywhere,
    ['OUTBOX_POLL_MS', '1000'],
    ['OUTBOX_BATCH_SIZE', '50'],
    ['OUTBOX_MAX_ATTEMPTS', '10'],
    ['MAX_DEPTH', '10'],
    ['MAX_CHILDREN', '10'],
    ['MAX_PER_ZONE', '50'],
    ['MAX_PER_APP', '200'],
    ['DEFAULT_TTL_SECONDS', '3600'],
    ['PORT', '4000'],
  ],
  audit: [
    ...everywhere,
    ['AUDIT_HMAC_KEY', none],
    ['STREAMS_HMAC_KEY', none],
    ['AUDIT_RETENTION_DAYS', '365'],
    ['AUDIT_MAX_DELIVERIES', '5'],
    ['AUDIT_EXPORT_S3_BUCKET', none],
    ['AUDIT_EXPORT_S3_ENDPOINT', none],
    ['AUDIT_EXPORT_S3_REGION', 'us-east-1'],
    ['AWS_ACCESS_KEY_ID', none],
    ['AWS_SECRET_ACCESS_KEY', none],
    ['PORT', '9090'],
  ],
};

/** Names of rows 004 and 001 that are read by clients; the page has to name each. */
const clientRows = [
  ...['zone_url', 'zone_id', 'application_id', 'app_client_secret', 'continue_on_failure', 'credentials[].env'],
  ...['credentials[].resource', 'optional_credentials[].on_failure', 'mcp_governance.mode', 'gatewayUrl', 'resources'],
  ...['subjectToken', 'defaultKind', 'defaultTtlSeconds', 'CARACAL_CONFIG', 'CARACAL_ENV_FILE', 'CARACAL_API_URL'],
  ...['CARACAL_COORDINATOR_URL', 'CARACAL_COORDINATOR_TOKEN', 'CARACAL_ADMIN_TOKEN', 'CARACAL_ZONE_ID'],
  ...['CARACAL_APPLICATION_ID', 'CARACAL_SUBJECT_TOKEN', 'CARACAL_GATEWAY_URL', 'CARACAL_RESOURCES'],
  ...['XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'UPSTREAM_HOST_ALLOWLIST', 'METRICS_BEARER', 'GATEWAY_STS_HMAC_KEY'],
  ...['ISSUER_URL', 'CARACAL_AUTH_URL', 'CARACAL_WEB_ORIGIN'],
];

/** The cells of the rows of every table under a heading, up to the next heading. */
function rows(page: string, heading: string): string[][] {
  const lines = page.split('\n');
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line.startsWith('#'));
  if (start === -1) return [];
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => line.startsWith('#'));
  return rest
    .slice(0, end === -1 ? undefined : end)
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const cells = line.slice(1, -1).split(/(?<!\\)\|/);
      return cells.map((cell) => cell.trim());
    });
}

const words = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

/** `a/{b,c}/d` as `a/b/d` and `a/c/d`. */
function expanded(path: string): string[] {
  const [, before = '', choices = '', after = ''] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? [];
  return choices === '' ? [path] : choices.split(',').map((choice) => `${before}${choice}${after}`);
}

/** Variables a service reads with their defaults, as the reference says it. */
function settingsOf(service: ServiceName): Map<string, string> {
  const found = [...rows(settingsPage, 'All services'), ...rows(settingsPage, service)];
  return new Map(
    found.flatMap(([names, , value]) => words(names).map((name): [string, string] => [name, words(value)[0] ?? none])),
  );
}

interface Coverage {
  readonly value: string;
  readonly state: string;
}

function coverageOf(service: ServiceName): Map<string, Coverage> {
  return new Map(
    rows(coveragePage, service).map(([name, value, , state = '']): [string, Coverage] => [
      words(name)[0] ?? '',
      { value: words(value)[0] ?? none, state },
    ]),
  );
}

const cases = services.flatMap((service) => seedVariables[service].map(([name, value]) => ({ service, name, value })));

describe('a variable of the requirement documents', () => {
  test.each(cases)('$service $name is read with its default, or is marked as later', ({ service, name, value }) => {
    const coverage = coverageOf(service).get(name);
    expect(coverage, 'has a row in docs/seed-coverage.md').toBeDefined();
    const isRead = settingsOf(service).has(name);
    expect(isRead ? ['now', 'read'] : ['later']).toContain(coverage?.state);
    if (isRead) expect(settingsOf(service).get(name)).toBe(value);
  });
});

describe('the coverage page', () => {
  test.each(services)('has exactly the variables of %s', (service) => {
    const names = seedVariables[service].map(([name]) => name);
    expect([...coverageOf(service).keys()].toSorted()).toEqual(names.toSorted());
  });

  test.each(services)('tells the defaults of %s', (service) => {
    const written = seedVariables[service].map(([name]) => [name, coverageOf(service).get(name)?.value]);
    // Its default is another variable.
    const expected = seedVariables[service].map(([name, value]) => [
      name,
      name === 'AUDIT_STREAM_URL' ? 'REDIS_URL' : value,
    ]);
    expect(written).toEqual(expected);
  });

  test.each(clientRows)('names %s', (name) => {
    expect(coveragePage).toContain(name);
  });

  test('says of each table row whether it stands or comes later', () => {
    const body = coveragePage.split('\n').filter((line) => line.startsWith('| ') && !/^\| -+/.test(line));
    const states = body.map(
      (line) =>
        line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .at(-1)
          ?.trim() ?? '',
    );
    expect(states.filter((state) => !/^(?:now|read|later|State)\b/.test(state))).toEqual([]);
  });

  test('names as the builder of what stands only what exists', () => {
    const standing = coveragePage.split('\n').filter((line) => /^\|.*\| now[^|]*\|$/.test(line));
    const paths = standing
      .flatMap((line) => words(line))
      .filter((word) => /^(?:services|mesh|dev|migrations)\//.test(word));
    expect(paths.length).toBeGreaterThan(50);
    for (const path of paths.flatMap(expanded)) expect(existsSync(join(root, path)), path).toBe(true);
  });
});
