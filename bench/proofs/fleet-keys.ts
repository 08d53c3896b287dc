// Rotation of the keys that services share: STREAMS_HMAC_KEY, AUDIT_HMAC_KEY and GATEWAY_STS_HMAC_KEY. A fleet is never
// restarted at once, so each service is first told of the next key and uses it only when all others accept it.
import { randomBytes } from 'node:crypto';
import { services, type ServiceName } from '#mesh/topology';
import type { Environment } from '../../dev/components/child-process.ts';
import type { GovernedZone } from './governed-zone.ts';
import type { PartName, ProofInstallation } from './installation.ts';
import { verifyChain } from './ledger.ts';

interface SharedKeys {
  readonly STREAMS_HMAC_KEY: string;
  readonly AUDIT_HMAC_KEY: string;
  readonly GATEWAY_STS_HMAC_KEY: string;
}

const holdersOfGatewayKey: readonly ServiceName[] = ['sts', 'gateway'];

/** What a service is told when `current` is used and `previous` accepted. */
function told(service: ServiceName, current: SharedKeys, previous: SharedKeys): Environment {
  const names = Object.keys(current) as (keyof SharedKeys)[];
  const own = names.filter((name) => name !== 'GATEWAY_STS_HMAC_KEY' || holdersOfGatewayKey.includes(service));
  return Object.fromEntries(
    own.flatMap((name) => [
      [name, current[name]],
      [`${name}_PREVIOUS`, previous[name]],
    ]),
  );
}

/** The parts that are replicas of a service, the first one first. */
function partsOf(installation: Pick<ProofInstallation, 'replicaUrls'>, service: ServiceName): readonly PartName[] {
  return installation.replicaUrls(service).map((_, at) => (at === 0 ? service : (`${service}-${at + 1}` as const)));
}

/** One after another, each ready before the next is stopped. */
export async function restart(
  installation: ProofInstallation,
  service: ServiceName,
  settings: Environment,
): Promise<void> {
  installation.reconfigure(service, settings);
  for (const name of partsOf(installation, service)) {
    await installation.part(name).stop();
    await installation.part(name).start();
  }
}

/** Rotates all three at once, while whatever goes on goes on; tells what did not hold. */
export async function rotateSharedKeys(
  installation: ProofInstallation,
  zone: GovernedZone,
): Promise<readonly string[]> {
  const problems: string[] = [];
  const { streamsHmacKey, auditHmacKey, gatewayStsHmacKey } = installation.stack.secrets;
  const before: SharedKeys = {
    STREAMS_HMAC_KEY: streamsHmacKey,
    AUDIT_HMAC_KEY: auditHmacKey,
    GATEWAY_STS_HMAC_KEY: gatewayStsHmacKey,
  };
  const newKey = (): string => randomBytes(32).toString('hex');
  const after: SharedKeys = { STREAMS_HMAC_KEY: newKey(), AUDIT_HMAC_KEY: newKey(), GATEWAY_STS_HMAC_KEY: newKey() };
  for (const [current, previous] of [
    [before, after],
    [after, before],
  ] as const) {
    for (const service of services) await restart(installation, service, told(service, current, previous));
    problems.push(...(await checkKeys(zone)));
  }
  return problems;
}

/** A revocation reaches every replica over signed streams, and every event so far is in a chain that verifies. */
async function checkKeys(zone: GovernedZone): Promise<string[]> {
  const problems: string[] = [];
  const { zoneId } = zone.facts;
  const anchors = [{ kind: 'jti', id: 'nobody-has-this' }];
  const revoked = await zone.admin('POST', `/zones/${zoneId}/revocations?wait=applied`, { anchors });
  if (revoked.body['applied'] !== true) problems.push(`a revocation was answered ${revoked.status} ${revoked.reason}`);
  const chain = await verifyChain(zone);
  problems.push(...chain.findings);
  return problems;
}
