// Every port of the flows in memory around one world, with one zone, one application and one policy set in it.
import { ManualClock } from '#mesh/time';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { createMandateVerifier } from '#mesh/mandate';
import type { Application, Resource, Zone } from '../../domain/directory.ts';
import { formatSecret } from '../../domain/client-secret.ts';
import { createAssertionVerifier } from '../assertion/assertion-verifier-jose.ts';
import { createFailureCounter } from '../argon2/failure-counter.ts';
import { createProofChecker } from '../possession/proof-checker-dpop.ts';
import { createIdTokensMemory, createSubjectsMemory } from './subjects-memory.ts';
import { createMandateReader, createMandateSigner } from '../signing/mandate-signer.ts';
import { createHoldsMemory } from './holds-memory.ts';
import { createDelegationGraphMemory, createDirectoryMemory, createMemoryWorld } from './directory-memory.ts';
import type { MemoryWorld } from './directory-memory.ts';
import {
  createEvidenceMemory,
  createPolicyEngineMemory,
  createRevocationsMemory,
  policyAnswer,
} from './judging-memory.ts';
import {
  createMintLimiterMemory,
  createSecretVerifierMemory,
  createSessionRecordsMemory,
  createSingleUseMemory,
  createZoneKeysMemory,
} from './minting-memory.ts';
import { createProviderCredentialsMemory } from './provider-credentials-memory.ts';

const startMs = Date.UTC(2026, 10, 1);
/** Ids of a memory world: UUIDv7 in form, counted. */
function idSource(): () => string {
  let count = 0;
  return () => {
    count += 1;
    return `01900000-0000-7000-8000-${count.toString(16).padStart(12, '0')}`;
  };
}

export interface MemoryOptions {
  /** What every policy answers; allows when absent. */
  readonly judge?: (input: JsonObject) => JsonValue | undefined;
  readonly mintLimit?: number;
}

function memoryZone(id: string): Zone {
  const secretCheckKey = Buffer.alloc(32, 9);
  return { id, name: 'zone', calendar: undefined, recordInputs: true, secretCheckKey, version: 1 };
}

type Place = { readonly world: MemoryWorld; readonly zone: Zone; readonly newId: () => string };

function addApplication({ world, zone, newId }: Place): { application: Application; secret: string } {
  const id = newId();
  const secret = formatSecret(zone.secretCheckKey, Buffer.alloc(32, world.applications.size), id);
  const application: Application = {
    id,
    zoneId: zone.id,
    name: 'application',
    registrationMethod: 'managed',
    credentialType: 'token',
    secretHash: secret,
    traits: [],
    labels: {},
    senderConstraint: 'off',
    publicKeys: [],
    mayAct: [],
    serves: [],
    expiresAtMs: undefined,
    version: 1,
  };
  world.applications.set(id, application);
  return { application, secret };
}

function addResource(
  { world, zone, newId }: Place,
  fields: Partial<Resource> & Pick<Resource, 'identifier' | 'scopes'>,
): Resource {
  const resource: Resource = {
    id: newId(),
    zoneId: zone.id,
    kind: 'http',
    upstreamUrl: 'http://upstream.test',
    operations: [],
    operationEnforcement: false,
    providerId: undefined,
    version: 1,
    ...fields,
  };
  world.resources.set(resource.identifier, resource);
  return resource;
}

/** The ports, the world behind them, and the ways to fill it. */
export function createMemoryPorts(options: MemoryOptions = {}) {
  const world = createMemoryWorld();
  const clock = new ManualClock(startMs);
  const newId = idSource();
  const issuer = 'https://sts.test';
  const coordinator = 'https://coordinator.test';
  const zone = memoryZone(newId());
  world.zones.set(zone.id, zone);
  const policies = [{ policyVersionId: newId(), name: 'only', content: '' }];
  const ids = { zoneId: zone.id, policySetId: newId(), versionId: newId() };
  world.policySets.set(zone.id, { ...ids, digest: 'd'.repeat(64), params: {}, policies });
  const zoneKeys = createZoneKeysMemory(new Set([zone.id]));
  const verifier = createMandateVerifier({ issuer, keys: zoneKeys, clock });
  const sessionRecords = createSessionRecordsMemory();
  const ports = {
    issuer,
    clock,
    newId,
    zoneKeys,
    directory: createDirectoryMemory(world),
    delegationGraph: createDelegationGraphMemory(world),
    revocations: createRevocationsMemory(),
    mandateReader: createMandateReader(verifier),
    mandateSigner: createMandateSigner(),
    policyEngine: createPolicyEngineMemory(options.judge ?? (() => policyAnswer('allow'))),
    holds: createHoldsMemory(clock, newId),
    evidence: createEvidenceMemory(),
    refusalSampler: { admit: () => ({ suppressed: 0 }) },
    sessionRecords,
    subjects: createSubjectsMemory(sessionRecords.records),
    idTokens: createIdTokensMemory(),
    unknownZoneKey: Buffer.alloc(32, 1),
    failureCounter: createFailureCounter(() => clock.monotonic()),
    secretVerifier: createSecretVerifierMemory(),
    assertionVerifier: createAssertionVerifier(),
    singleUse: createSingleUseMemory(),
    proofChecker: createProofChecker({
      issuerUrl: issuer,
      coordinatorPublicUrl: coordinator,
      auditHmacKey: Buffer.alloc(32, 7),
      clock,
    }),
    mintLimiter: createMintLimiterMemory(options.mintLimit ?? 1000),
    providerCredentials: createProviderCredentialsMemory(),
  };
  const place: Place = { world, zone, newId };
  return {
    ports,
    world,
    zone,
    addApplication: () => addApplication(place),
    addResource: (identifier: string, scopes: readonly string[], fields: Partial<Resource> = {}) =>
      addResource(place, { identifier, scopes, ...fields }),
  };
}
