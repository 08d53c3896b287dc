// Which addresses are the installation itself: what is behind the URLs this process was given, this machine's own
// interfaces, and the services' ports on loopback. Nothing that a tenant names may lead
// there.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ports } from '#mesh/topology';
import type { Logger } from '#mesh/telemetry';
import type { Endpoint, HostEntry, OwnAddresses } from '#mesh/egress';

export interface OwnAddressesOptions {
  /** DATABASE_URL, REDIS_URL, AUDIT_STREAM_URL, STS_URL, OPA_URL and the like; their credentials are not looked at. */
  readonly urls: readonly string[];
  /** UPSTREAM_HOST_DENYLIST: more hosts that are refused by what they resolve to. */
  readonly denied: readonly HostEntry[];
  /** Ports this process itself listens on. */
  readonly ownPorts: readonly number[];
  readonly logger: Pick<Logger, 'warn'>;
  readonly resolve?: ((hostname: string) => Promise<readonly string[]>) | undefined;
}

export interface OwnAddressBook {
  current(): OwnAddresses;
  /** Resolves every name again; one that cannot be resolved keeps its last addresses. Never rejects. */
  refresh(): Promise<void>;
}

const defaultPorts: Readonly<Record<string, number>> = {
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'rediss:': 6379,
  'http:': 80,
  'https:': 443,
};

export function createOwnAddresses(options: OwnAddressesOptions): OwnAddressBook {
  const { urls, ownPorts, logger, resolve = systemResolve } = options;
  const targets = [...urls.flatMap(endpointOf), ...options.denied];
  const known = new Map<string, readonly Endpoint[]>();
  const fixed = [...Object.values(ports), ...ownPorts].map((port) => ({ address: '127.0.0.1', port }));
  let current: OwnAddresses = { endpoints: [...fixed, ...interfaces()] };

  return {
    current: () => current,
    async refresh() {
      await Promise.all(
        targets.map(async ({ host, port }) => {
          try {
            const addresses = isIP(host) === 0 ? await resolve(host) : [host];
            known.set(
              `${host}:${port}`,
              addresses.map((address) => ({ address, port })),
            );
          } catch (error) {
            logger.warn({ error }, 'a name of the installation could not be resolved');
          }
        }),
      );
      current = { endpoints: [...fixed, ...interfaces(), ...[...known.values()].flat()] };
    },
  };
}

function interfaces(): Endpoint[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => ({ address, port: undefined }));
}

function endpointOf(text: string): HostEntry[] {
  if (!URL.canParse(text)) return [];
  const url = new URL(text);
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  if (host === '') return [];
  return [{ host, port: url.port === '' ? defaultPorts[url.protocol] : Number(url.port) }];
}

async function systemResolve(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}
