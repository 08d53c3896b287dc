import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { services } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import { renderShellFile, serviceEnvironment, shellEnvironment } from './environment.ts';
import type { Stack } from './environment.ts';

const ports: Record<ServiceName, number> = { sts: 8080, api: 3000, gateway: 8081, coordinator: 4000, audit: 9090 };

function perService(value: (service: ServiceName) => string): Record<ServiceName, string> {
  return {
    sts: value('sts'),
    api: value('api'),
    gateway: value('gateway'),
    coordinator: value('coordinator'),
    audit: value('audit'),
  };
}

function exampleStack(inherited: Record<string, string> = {}): Stack {
  return {
    secrets: {
      zoneKek: 'kek',
      auditHmacKey: 'audit',
      streamsHmacKey: 'streams',
      gatewayStsHmacKey: 'hello',
      adminToken: 'admin',
    },
    addresses: {
      ports,
      databaseUrls: perService((service) => `postgres://caracal_${service}_login:p@127.0.0.1:5433/caracal`),
      redisUrl: 'redis://:p@127.0.0.1:6380',
      opaUrl: 'http://127.0.0.1:8182',
      opaToken: 'opa',
      upstreamPort: 9999,
    },
    files: { tlsFolder: '/s/tls', journalFolder: '/s/journal', checkpointKeyFile: '/s/keys/checkpoint.pem' },
    inherited,
  };
}

test('gives every service its own port, certificate, login and the common keys', () => {
  for (const service of services) {
    expect(serviceEnvironment(service, exampleStack())).toMatchObject({
      CARACAL_MODE: 'dev',
      PORT: String(ports[service]),
      LISTEN_HOST: '127.0.0.1',
      TLS_CERT_FILE: `/s/tls/${service}.pem`,
      MESH_CA_FILE: '/s/tls/ca.pem',
      MESH_TRUST_DOMAIN: 'caracal.dev',
      DATABASE_URL: `postgres://caracal_${service}_login:p@127.0.0.1:5433/caracal`,
      STREAMS_HMAC_KEY: 'streams',
      AUDIT_HMAC_KEY: 'audit',
    });
  }
});

test.each([
  ['ZONE_KEK', ['sts']],
  ['OPA_TOKEN', ['sts']],
  ['GATEWAY_STS_HMAC_KEY', ['sts', 'gateway']],
  ['ADMIN_TOKEN', ['api']],
  ['AUDIT_CHECKPOINT_KEY_FILE', ['audit']],
  ['AUDIT_REPLAY_DIR', ['sts', 'gateway']],
])('gives %s to its holders and to no one else', (name, holders) => {
  const having = services.filter((service) => serviceEnvironment(service, exampleStack())[name] !== undefined);
  expect([...having]).toEqual(holders);
});

test('passes on what an operator sets for all, and nothing else of the surroundings', () => {
  const inherited = {
    PATH: '/bin',
    LOG_LEVEL: 'debug',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://o',
    GITHUB_TOKEN: 'x',
    DATABASE_URL: 'admin',
  };
  const given = serviceEnvironment('api', exampleStack(inherited));
  expect(given).toMatchObject({ PATH: '/bin', LOG_LEVEL: 'debug', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://o' });
  expect(given['GITHUB_TOKEN']).toBeUndefined();
  expect(given['DATABASE_URL']).not.toBe('admin');
});

test('names the upstream port as reachable and every part of the stack as not', () => {
  const given = serviceEnvironment('gateway', exampleStack({ UPSTREAM_DEV_LOOPBACK_HOSTS: 'localhost:7000' }));
  expect(given['UPSTREAM_DEV_LOOPBACK_HOSTS']).toBe('localhost:9999,127.0.0.1:9999,localhost:7000');
  const denied = given['UPSTREAM_HOST_DENYLIST']?.split(',') ?? [];
  for (const port of [5433, 6380, 8182, ...Object.values(ports)]) expect(denied).toContain(`127.0.0.1:${port}`);
});

test('writes a file that a shell reads back unchanged', () => {
  const variables = { ...shellEnvironment(exampleStack()), CARACAL_ODD: `it's $HOME "quoted" \\ back` };
  const script = `${renderShellFile(variables)}\nprintf '%s|%s' "$CARACAL_STS_URL" "$CARACAL_ODD"`;
  const output = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
  expect(output).toBe(`https://localhost:8080|${variables.CARACAL_ODD}`);
});
