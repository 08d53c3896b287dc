/**
 * Derives what each service of a dev installation is told by its environment, and what a shell is told about the
 * installation. It stands alone, pure, so that the stack and the tests run services with exactly the same settings.
 */
import { join } from 'node:path';
import { services } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import type { Environment } from './components/child-process.ts';

/** Secrets of one installation; hexadecimal keys are 32 bytes. */
export interface StackSecrets {
  zoneKek: string;
  auditHmacKey: string;
  streamsHmacKey: string;
  gatewayStsHmacKey: string;
  adminToken: string;
}

/** Where the parts of an installation are. */
export interface StackAddresses {
  ports: Readonly<Record<ServiceName, number>>;
  /** Each service's own login. */
  databaseUrls: Readonly<Record<ServiceName, string>>;
  /** Without a database number. */
  redisUrl: string;
  opaUrl: string;
  opaToken: string;
  /** OPA's program, by which the STS compiles policies; undefined where only its server is at hand. */
  opaBinary?: string | undefined;
  /** The loopback port kept for an upstream of the demo or of a walk-through. */
  upstreamPort: number;
}

/** Files and folders of one installation, absolute. */
export interface StackFiles {
  /** `ca.pem`, `bundle.pem`, and `<service>.pem` with `<service>-key.pem`. */
  tlsFolder: string;
  /** One folder per service that keeps a journal. */
  journalFolder: string;
  /** Ed25519, PKCS #8 PEM. */
  checkpointKeyFile: string;
}

export interface Stack {
  secrets: StackSecrets;
  addresses: StackAddresses;
  files: StackFiles;
  /** The environment that the launcher was started with. */
  inherited: Environment;
}

export const trustDomain = 'caracal.dev';
/** The address every listener of the stack binds. */
export const listenHost = '127.0.0.1';

/** What a process needs from its surroundings, and the settings that an operator may give to all services at once. */
const passedOn = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'LOG_LEVEL',
  'SHUTDOWN_GRACE_MS',
  'NODE_OPTIONS',
  'AUDIT_STREAM_URL',
  'UPSTREAM_HOST_ALLOWLIST',
  'CARACAL_PRIVATE_EGRESS_HOSTS',
  'STS_MINT_RATE_LIMIT_PER_MIN',
];
const passedOnPrefixes = ['OTEL_', 'AUDIT_EXPORT_', 'AWS_'];

/** The URL a person or a client uses; the certificate names `localhost`. */
export function publicUrl(port: number): string {
  return `https://localhost:${port}`;
}

/** The URL a service uses: one address, because `localhost` has a second one on which nothing listens. */
function peerUrl(port: number): string {
  return `https://${listenHost}:${port}`;
}

/** The complete environment of one service's process. */
export function serviceEnvironment(service: ServiceName, stack: Stack): Environment {
  return { ...inheritedSettings(stack.inherited), ...basicSettings(service, stack), ...ownSettings(service, stack) };
}

/** A further process of a service: where it listens, and which STS it asks. */
export interface Replica {
  /** 2 and up; the first is the service itself. */
  number: number;
  port: number;
  /** The port of the STS that a Gateway, a Coordinator or an API of this number asks; the first one's when absent. */
  stsPort?: number;
}

/** The environment of a further replica: everything of the first but its port, its name and its journal. */
export function replicaEnvironment(service: ServiceName, stack: Stack, replica: Replica): Environment {
  const environment = serviceEnvironment(service, stack);
  const { number, port, stsPort } = replica;
  return {
    ...environment,
    PORT: String(port),
    REPLICA_ID: `${service}-dev-${number}`,
    ...(environment['AUDIT_REPLAY_DIR'] === undefined
      ? {}
      : { AUDIT_REPLAY_DIR: join(stack.files.journalFolder, `${service}-${number}`) }),
    ...(environment['STS_URL'] === undefined || stsPort === undefined ? {} : { STS_URL: peerUrl(stsPort) }),
  };
}

function inheritedSettings(inherited: Environment): Environment {
  const entries = Object.entries(inherited).filter(
    ([name, value]) =>
      value !== undefined && (passedOn.includes(name) || passedOnPrefixes.some((prefix) => name.startsWith(prefix))),
  );
  return Object.fromEntries(entries);
}

function basicSettings(service: ServiceName, { addresses, files, secrets }: Stack): Environment {
  return {
    CARACAL_MODE: 'dev',
    PORT: String(addresses.ports[service]),
    LISTEN_HOST: listenHost,
    TLS_CERT_FILE: join(files.tlsFolder, `${service}.pem`),
    TLS_KEY_FILE: join(files.tlsFolder, `${service}-key.pem`),
    MESH_CA_FILE: join(files.tlsFolder, 'ca.pem'),
    MESH_TRUST_DOMAIN: trustDomain,
    DATABASE_URL: addresses.databaseUrls[service],
    REDIS_URL: addresses.redisUrl,
    STREAMS_HMAC_KEY: secrets.streamsHmacKey,
    AUDIT_HMAC_KEY: secrets.auditHmacKey,
    REPLICA_ID: `${service}-dev`,
  };
}

function ownSettings(service: ServiceName, stack: Stack): Environment {
  const { addresses, files, secrets } = stack;
  const { ports } = addresses;
  const issuer = { ISSUER_URL: publicUrl(ports.sts) };
  const journal = { AUDIT_REPLAY_DIR: join(files.journalFolder, service) };
  const coordinatorPublic = { COORDINATOR_PUBLIC_URL: publicUrl(ports.coordinator) };
  const gatewayPublic = { GATEWAY_PUBLIC_URLS: publicUrl(ports.gateway) };
  switch (service) {
    case 'sts':
      return {
        ...issuer,
        ...journal,
        ...coordinatorPublic,
        ...gatewayPublic,
        ...destinations(stack),
        ZONE_KEK: secrets.zoneKek,
        OPA_URL: addresses.opaUrl,
        OPA_TOKEN: addresses.opaToken,
        ...(addresses.opaBinary === undefined ? {} : { OPA_BINARY: addresses.opaBinary }),
        GATEWAY_STS_HMAC_KEY: secrets.gatewayStsHmacKey,
      };
    case 'api':
      return {
        ...issuer,
        ADMIN_TOKEN: secrets.adminToken,
        STS_URL: peerUrl(ports.sts),
        AUDIT_URL: peerUrl(ports.audit),
        COORDINATOR_URL: peerUrl(ports.coordinator),
      };
    case 'gateway':
      return {
        ...issuer,
        ...journal,
        ...gatewayPublic,
        ...destinations(stack),
        STS_URL: peerUrl(ports.sts),
        GATEWAY_STS_HMAC_KEY: secrets.gatewayStsHmacKey,
      };
    case 'coordinator':
      return { ...issuer, ...coordinatorPublic, STS_URL: peerUrl(ports.sts) };
    case 'audit':
      return { AUDIT_CHECKPOINT_KEY_FILE: files.checkpointKeyFile };
  }
}

/**
 * Loopback upstreams are named one by one; the parts of the installation itself never are, and no tenant's resource
 * may reach one of them.
 */
function destinations({ addresses, inherited }: Stack): Environment {
  const upstream = [`localhost:${addresses.upstreamPort}`, `${listenHost}:${addresses.upstreamPort}`];
  const stores = [...Object.values(addresses.databaseUrls), addresses.redisUrl, addresses.opaUrl].map(hostAndPort);
  const listeners = services.map((service) => `${listenHost}:${addresses.ports[service]}`);
  return {
    UPSTREAM_DEV_LOOPBACK_HOSTS: joined(upstream, inherited['UPSTREAM_DEV_LOOPBACK_HOSTS']),
    UPSTREAM_HOST_DENYLIST: joined([...stores, ...listeners], inherited['UPSTREAM_HOST_DENYLIST']),
  };
}

function joined(own: readonly string[], given: string | undefined): string {
  const more = (given ?? '').split(',').map((entry) => entry.trim());
  return [...new Set([...own, ...more])].filter((entry) => entry !== '').join(',');
}

/** Ports that a URL leaves out, by scheme. */
const defaultPorts: Record<string, string> = {
  'postgres:': '5432',
  'postgresql:': '5432',
  'redis:': '6379',
  'rediss:': '6379',
  'http:': '80',
  'https:': '443',
};

function hostAndPort(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port === '' ? (defaultPorts[protocol] ?? '') : port}`;
}

/** What `.caracal/env` sets in a shell: where the installation is, how to trust it, how to administer it. */
export function shellEnvironment(stack: Stack): Record<string, string> {
  const { addresses, files, secrets } = stack;
  return {
    CARACAL_STS_URL: publicUrl(addresses.ports.sts),
    CARACAL_API_URL: publicUrl(addresses.ports.api),
    CARACAL_GATEWAY_URL: publicUrl(addresses.ports.gateway),
    CARACAL_COORDINATOR_URL: publicUrl(addresses.ports.coordinator),
    CARACAL_AUDIT_URL: publicUrl(addresses.ports.audit),
    CARACAL_ADMIN_TOKEN: secrets.adminToken,
    CARACAL_DEV_UPSTREAM_URL: `http://${listenHost}:${addresses.upstreamPort}`,
    CARACAL_DEV_TLS: files.tlsFolder,
    NODE_EXTRA_CA_CERTS: join(files.tlsFolder, 'ca.pem'),
    CURL_CA_BUNDLE: join(files.tlsFolder, 'bundle.pem'),
    SSL_CERT_FILE: join(files.tlsFolder, 'bundle.pem'),
  };
}

/** A file for `.` in any POSIX shell. */
export function renderShellFile(variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`);
  return `# Settings of this clone's Caracal stack, for a shell:  . .caracal/env\n${lines.join('\n')}\n`;
}
