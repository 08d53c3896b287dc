// Addresses: of our own services, of Postgres and of Redis, and when one may be spoken to without TLS.
// It stands alone because each scheme hides its plaintext form in another place.
import { isPlaceholder } from './secrets.ts';
import { accept, refuse, type Concern, type Parsed } from './setting.ts';

export type AddressKind = 'http' | 'postgres' | 'redis';

const schemes: Readonly<Record<AddressKind, readonly string[]>> = {
  http: ['https:', 'http:'],
  postgres: ['postgres:', 'postgresql:'],
  redis: ['rediss:', 'redis:'],
};

/** How each kind of address is written, for the reference. */
export const addressForms: Readonly<Record<AddressKind, string>> = {
  http: 'an https:// address (http:// in dev, on loopback or under a declared mesh)',
  postgres: 'a postgres:// address (sslmode=verify-full beyond loopback)',
  redis: 'a rediss:// address (redis:// in dev, on loopback or under a declared mesh)',
};

/** True for names and addresses that never leave the machine. */
export function isLoopbackHost(hostname: string): boolean {
  const host = hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function isLocalSocket(host: string): boolean {
  return host.startsWith('/') || decodeURIComponent(host).startsWith('/');
}

/** Every host a Postgres address can lead to: its own and those of the `host` and `hostaddr` parameters. */
function postgresHosts(url: URL): readonly string[] {
  const named = [...url.searchParams.getAll('host'), ...url.searchParams.getAll('hostaddr')];
  return [url.hostname, ...named].flatMap((host) => host.split(',')).filter((host) => host !== '');
}

function isPostgresProtected(url: URL): boolean {
  const modes = url.searchParams.getAll('sslmode');
  const switches = url.searchParams.getAll('ssl');
  return modes.length > 0 && modes.every((mode) => mode === 'verify-full') && switches.every((on) => on === 'true');
}

function transportConcerns(kind: AddressKind, url: URL): readonly Concern[] {
  if (kind === 'postgres') {
    const isLocal = postgresHosts(url).every((host) => isLoopbackHost(host) || isLocalSocket(host));
    if (isLocal || isPostgresProtected(url)) return [];
    return [{ rule: 'must say sslmode=verify-full to a host that is not loopback', unlessMesh: true }];
  }
  const [safe = ''] = schemes[kind];
  if (url.protocol === safe || isLoopbackHost(url.hostname)) return [];
  return [{ rule: `must use ${safe}// to a host that is not loopback`, unlessMesh: true }];
}

function passwordConcerns(url: URL): readonly Concern[] {
  return url.password !== '' && isPlaceholder(decodeURIComponent(url.password))
    ? [{ rule: 'must not hold a placeholder as password' }]
    : [];
}

/** Percent-encoding that does not decode would throw later, in the middle of a check. */
function isDecodable(url: URL): boolean {
  try {
    decodeURIComponent(url.password);
    decodeURIComponent(url.username);
    decodeURIComponent(url.hostname);
    return true;
  } catch {
    return false;
  }
}

function shapeProblem(kind: AddressKind, url: URL, isBare: boolean): string | undefined {
  if (!schemes[kind].includes(url.protocol)) return `must start with ${schemes[kind].join('// or ')}//`;
  if (!isDecodable(url)) return 'must be percent-encoded correctly';
  if (kind !== 'http') return undefined;
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password';
  if (isBare && (url.search !== '' || url.hash !== '' || /[?#]/.test(url.href)))
    return 'must have no query and no fragment';
  return undefined;
}

/**
 * One address. An http address keeps the text it was given, without the slash of an empty path, because issuers and
 * audiences are compared character by character.
 */
export function parseAddress(text: string, kind: AddressKind): Parsed<string> {
  if (!URL.canParse(text)) return refuse('must be an absolute address');
  const url = new URL(text);
  const problem = shapeProblem(kind, url, true);
  if (problem !== undefined) return refuse(problem);
  const value = kind === 'http' && url.pathname === '/' ? text.replace(/\/$/, '') : text;
  return accept(value, [...transportConcerns(kind, url), ...passwordConcerns(url)]);
}
