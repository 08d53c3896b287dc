// What stops a start although every single value is well formed: rules between settings, and what rc and stable refuse.
// It stands alone because these rules are the installation's trust boundary.
import { services } from '#mesh/topology';
import type { Resolved } from './resolve.ts';

export interface Situation {
  /** By variable name; a variable the service does not have is absent. */
  readonly resolved: ReadonlyMap<string, Resolved>;
  readonly isPublished: boolean;
}

function has({ resolved }: Situation, name: string): boolean {
  return resolved.has(name);
}

function isSet({ resolved }: Situation, name: string): boolean {
  return resolved.get(name)?.isSet === true;
}

/** True when a service mesh is declared to protect and identify connections. */
function isMeshDeclared(situation: Situation): boolean {
  return situation.resolved.get('MESH_IDENTITY')?.value !== undefined;
}

/** Both halves of TLS or none, and some protection at all. */
function transportProblems(situation: Situation): readonly string[] {
  if (!has(situation, 'TLS_CERT_FILE')) return [];
  const [cert, key] = [isSet(situation, 'TLS_CERT_FILE'), isSet(situation, 'TLS_KEY_FILE')];
  if (cert !== key) return ['TLS_CERT_FILE and TLS_KEY_FILE must be set together'];
  const mayBePlain = isMeshDeclared(situation) || (!situation.isPublished && isOn(situation, 'INSECURE_HTTP'));
  if (cert || mayBePlain) return [];
  const dev = situation.isPublished ? '' : ', or INSECURE_HTTP=true';
  return [`TLS_CERT_FILE and TLS_KEY_FILE must be set, or MESH_IDENTITY declared${dev}: plaintext is refused`];
}

function isOn({ resolved }: Situation, name: string): boolean {
  return resolved.get(name)?.value === true;
}

/** Who peers are must be decidable: from certificates, or from a complete map of a mesh's identities. */
function identityProblems(situation: Situation): readonly string[] {
  const problems: string[] = [];
  if (isSet(situation, 'MESH_CA_FILE') && !isSet(situation, 'MESH_TRUST_DOMAIN')) {
    problems.push('MESH_TRUST_DOMAIN is required with MESH_CA_FILE');
  }
  const isWithout = has(situation, 'MESH_CA_FILE') && !isSet(situation, 'MESH_CA_FILE');
  if (situation.isPublished && isWithout && !isMeshDeclared(situation)) {
    problems.push('MESH_CA_FILE is required, or MESH_IDENTITY declared: no peer could be recognised');
  }
  return [...problems, ...peerMapProblems(situation)];
}

function peerMapProblems(situation: Situation): readonly string[] {
  if (!has(situation, 'MESH_PEERS')) return [];
  const peers = situation.resolved.get('MESH_PEERS');
  if (!isMeshDeclared(situation)) {
    return peers?.isSet === true ? ['MESH_PEERS needs MESH_IDENTITY: without it no asserted identity is believed'] : [];
  }
  if (peers?.problems.length !== 0) return [];
  const mapped = peers.value instanceof Map ? new Set(peers.value.values()) : new Set();
  const absent = services.filter((service) => !mapped.has(service));
  return absent.length === 0 ? [] : [`MESH_PEERS must map an identity to each service; missing: ${absent.join(', ')}`];
}

/** In rc and stable: what each value is refused for. */
function concernProblems(situation: Situation): readonly string[] {
  if (!situation.isPublished) return [];
  const isMesh = isMeshDeclared(situation);
  return [...situation.resolved.values()].flatMap(({ setting, concerns }) =>
    concerns
      .filter(({ unlessMesh }) => unlessMesh !== true || !isMesh)
      .map(
        ({ rule, unlessMesh }) =>
          `${setting.name} ${rule}${unlessMesh === true ? ', unless MESH_IDENTITY is declared' : ''}`,
      ),
  );
}

/** In rc and stable no two keys are one key: what one holder signs, another could forge. */
function sameValueProblems({ resolved, isPublished }: Situation): readonly string[] {
  if (!isPublished) return [];
  const holders = new Map<string, string[]>();
  for (const { setting, text } of resolved.values()) {
    if (!setting.distinct || text === undefined) continue;
    // Hex keys are equal whatever the case of their digits.
    const key = text.toLowerCase();
    holders.set(key, [...(holders.get(key) ?? []), setting.name]);
  }
  return [...holders.values()]
    .filter((names) => names.length > 1)
    .map((names) => `${names.join(' and ')} must not hold the same value`);
}

/** Every problem that well-formed values can still make, in all modes or in rc and stable. */
export function situationProblems(situation: Situation): readonly string[] {
  return [
    ...transportProblems(situation),
    ...identityProblems(situation),
    ...concernProblems(situation),
    ...sameValueProblems(situation),
  ];
}
