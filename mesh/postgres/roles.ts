// The names of the database's roles, and what none of them may be. They stand alone because bootstrap makes them, the pool
// puts them on, and the check at start looks whether they are still harmless.
import type { ServiceName } from '#mesh/topology';

/** Owns every schema, table, view and function. Nobody logs in as it; the migrator puts it on. */
export const ownerRole = 'caracal_owner';

/** Holds the grants of a service. */
export function serviceRole(service: ServiceName): string {
  return `caracal_${service}`;
}

/** Reads all zones of a service's own tables. Put on for one read-only transaction, never inherited. */
export function loaderRole(service: ServiceName): string {
  return `caracal_${service}_loader`;
}

/** The login user that bootstrap makes when it is given a password. Operators may make their own. */
export function loginRole(service: ServiceName): string {
  return `caracal_${service}_login`;
}
