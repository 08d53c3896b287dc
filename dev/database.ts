/** Brings a database to the state in which services can start on it, and names the login of each. */
import { join } from 'node:path';
import { bootstrap, migrate } from '#mesh/postgres';
import { services } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';

export interface DatabaseOptions {
  /** Of an administrator; its path names the database, which is made when it does not exist. */
  administratorUrl: string;
  /** Given to the login users of all services. */
  loginPassword: string;
  /** Of the repository: migrations are in `migrations/`. */
  root: string;
  say?: (message: string) => void;
}

/** Roles, login users and all migrations. Idempotent, and safe when several do it at once. */
export async function prepareDatabase(options: DatabaseOptions): Promise<{ readonly applied: readonly string[] }> {
  const { administratorUrl, loginPassword } = options;
  const log = options.say ?? ((): void => undefined);
  await bootstrap(administratorUrl, { loginPasswords: perService(() => loginPassword), log });
  return await migrate({ administratorUrl, directory: join(options.root, 'migrations'), log });
}

/** The connection string of each service's own login to the database of `administratorUrl`. */
export function loginUrls(administratorUrl: string, loginPassword: string): Record<ServiceName, string> {
  return perService((service) => {
    const url = new URL(administratorUrl);
    url.username = `caracal_${service}_login`;
    url.password = loginPassword;
    return url.href;
  });
}

/** The same connection string with another database. */
export function withDatabase(connectionString: string, database: string): string {
  const url = new URL(connectionString);
  url.pathname = `/${database}`;
  return url.href;
}

/** A value for each of the five services. */
export function perService<T>(value: (service: ServiceName) => T): Record<ServiceName, T> {
  return Object.fromEntries(services.map((service) => [service, value(service)])) as Record<ServiceName, T>;
}
