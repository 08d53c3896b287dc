// The need: what the API keeps about a zone, from memory when fresh. A miss is one point read, shared by all who wait
// for it, and never an answer by itself.
import type { Application, Provider, Resource, Zone } from '../domain/directory.ts';
import type { PolicySetVersion } from '../domain/policy-set.ts';

/**
 * Each answers undefined for what does not exist or is archived, and throws `store_unavailable` when nobody can say.
 * An answer is never older than the staleness limit, nor than an invalidation or anchor applied before the call.
 */
export interface Directory {
  zone(zoneId: string): Promise<Zone | undefined>;
  application(zoneId: string, applicationId: string): Promise<Application | undefined>;
  /** By identifier, the name resources have in mandates. */
  resource(zoneId: string, identifier: string): Promise<Resource | undefined>;
  provider(zoneId: string, providerId: string): Promise<Provider | undefined>;
  /** The version the zone enforces; undefined when it has none. */
  activePolicySet(zoneId: string): Promise<PolicySetVersion | undefined>;
  /** The version the zone watches and never enforces; undefined when it has none. */
  shadowPolicySet(zoneId: string): Promise<PolicySetVersion | undefined>;
}
