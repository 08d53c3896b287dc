// The five services and the port each listens on.
// It stands alone as data so that configuration, identity and the launcher agree without knowing each other.

/** The services of an installation, in the order they are started. */
export const services = ['sts', 'api', 'gateway', 'coordinator', 'audit'] as const;

export type ServiceName = (typeof services)[number];

/** The one port of each service; published modes refuse another. */
export const ports: Readonly<Record<ServiceName, number>> = {
  sts: 8080,
  api: 3000,
  gateway: 8081,
  coordinator: 4000,
  audit: 9090,
};

/** True for a string that names a service. */
export function isServiceName(value: unknown): value is ServiceName {
  return typeof value === 'string' && (services as readonly string[]).includes(value);
}
