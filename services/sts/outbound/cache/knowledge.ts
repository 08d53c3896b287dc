// Everything the process knows of zones, keys, sessions and revocation, and the streams that keep it true, tied together:
// an applied anchor drops what it ends, a stream's entry drops what it names, and a stream that is not complete is not
// believed.
import type { JsonValue } from '#mesh/failure';
import { createMandateVerifier } from '#mesh/mandate';
import type { AnchorKindName, MandateVerifier } from '#mesh/mandate';
import type { Database } from '#mesh/postgres';
import type { RedisConnection, StreamSigner } from '#mesh/redis';
import {
  createEnforcementPoint,
  createInvalidationTail,
  createRevocationSource,
  createRevocationView,
  createTailSource,
  readStreamHead,
} from '#mesh/revocation';
import type { InvalidationTail, InvalidationTailOptions, RevocationView } from '#mesh/revocation';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { DisciplinedClock } from '#mesh/time';
import type { StsMetrics } from '../../metrics.ts';
import type { Subjects } from '../../ports/subjects.ts';
import type { Vault } from '../../ports/vault.ts';
import { createSubjectReader } from '../postgres/subject-reader.ts';
import { createZoneReader } from '../postgres/zone-reader.ts';
import type { ZoneShares } from '../postgres/zone-shares.ts';
import { createCachedDirectory } from './directory-cached.ts';
import type { CachedDirectory, Drops } from './directory-cached.ts';
import { createCachedSubjects } from './subjects-cached.ts';
import { createZoneKeys } from './zone-keys-cached.ts';
import type { CachedZoneKeys } from './zone-keys-cached.ts';

export interface KnowledgeOptions {
  readonly database: ZoneShares;
  /** For snapshot, renewals and heads of streams. */
  readonly revocationDatabase: Database;
  readonly redis: RedisConnection;
  readonly signer: StreamSigner;
  readonly vault: Vault;
  readonly issuer: string;
  readonly replica: string;
  readonly newId: () => string;
  readonly maxStalenessMs: number;
  readonly clock: DisciplinedClock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly own: Pick<StsMetrics, 'cacheLookups' | 'unopenableKeys'>;
}

/** What streams may make it forget. */
export interface KnowledgeDrops extends Drops {
  keysChanged(zoneId: string): void;
  allKeys(): void;
}

type StreamName = InvalidationTailOptions['stream'];

export interface Knowledge extends AsyncDisposable {
  readonly revocations: RevocationView;
  readonly directory: CachedDirectory['directory'];
  readonly graph: CachedDirectory['graph'];
  readonly connections: CachedDirectory['connections'];
  readonly subjects: Subjects;
  readonly zoneKeys: CachedZoneKeys;
  readonly verifier: MandateVerifier;
  readonly drops: KnowledgeDrops;
  sizes(): Readonly<Record<string, number>>;
  /** Begins to follow a stream with this handling; until then nothing it keeps is believed beyond the staleness limit. */
  follow(handling: {
    readonly stream: StreamName;
    readonly onEntry: (payload: JsonValue) => void;
    readonly onReset: () => void;
  }): void;
}

function createMemory(options: KnowledgeOptions, isFresh: (stream: StreamName) => () => boolean) {
  const { clock, maxStalenessMs, own, logger } = options;
  const cached = createCachedDirectory({
    reader: createZoneReader(options.database),
    fresh: {
      resources: isFresh('caracal.resources.invalidate'),
      policy: isFresh('caracal.policy.invalidate'),
      delegations: isFresh('caracal.delegations.invalidate'),
    },
    maxStalenessMs,
    clock,
    onLookup: (kind, hit) => own.cacheLookups.inc({ kind, outcome: hit ? 'hit' : 'miss' }),
  });
  const subjects = createCachedSubjects({
    reader: createSubjectReader(options.database),
    isFresh: isFresh('caracal.resources.invalidate'),
    maxStalenessMs,
    clock,
    onLookup: (kind, hit) => own.cacheLookups.inc({ kind, outcome: hit ? 'hit' : 'miss' }),
  });
  const zoneKeys = createZoneKeys({
    database: options.database,
    vault: options.vault,
    isFresh: isFresh('caracal.keys.invalidate'),
    clock,
    maxStalenessMs,
    onUnopenable: (keyId) => {
      own.unopenableKeys.inc();
      logger.error({ keyId }, 'a zone key does not open under ZONE_KEK');
    },
  });
  const verifier = createMandateVerifier({ issuer: options.issuer, keys: zoneKeys, clock });
  const drops: KnowledgeDrops = {
    ...cached.drops,
    resourceChanged(zoneId, kind, id) {
      cached.drops.resourceChanged(zoneId, kind, id);
      subjects.resourceChanged(zoneId, kind, id);
    },
    allResources() {
      cached.drops.allResources();
      subjects.allResources();
    },
    anchorApplied(zoneId, kind, id) {
      cached.drops.anchorApplied(zoneId, kind, id);
      subjects.anchorApplied(zoneId, kind, id);
    },
    keysChanged(zoneId) {
      zoneKeys.drop(zoneId);
      verifier.forgetZone(zoneId);
    },
    allKeys() {
      zoneKeys.dropAll();
      verifier.forgetAll();
    },
  };
  return { cached, subjects, zoneKeys, verifier, drops };
}

function dropAnchored(drops: KnowledgeDrops, zoneId: string, anchor: { kind: AnchorKindName; id: string }): void {
  drops.anchorApplied(zoneId, anchor.kind, anchor.id);
  if (anchor.kind === 'zone_key' || anchor.kind === 'zone') drops.keysChanged(zoneId);
}

export function createKnowledge(options: KnowledgeOptions): Knowledge {
  const { clock, logger, metrics, maxStalenessMs, replica, newId, redis, signer } = options;
  const database = options.revocationDatabase;
  const tails = new Map<StreamName, InvalidationTail>();
  const memory = createMemory(options, (stream) => () => tails.get(stream)?.isFresh() ?? false);
  const openTail = createTailSource({ redis, signer, clock, logger, metrics });
  const shared = { openTail, clock, maxStalenessMs, logger, metrics };
  const revocations = createRevocationView({
    ...shared,
    source: createRevocationSource(database),
    membership: createEnforcementPoint({ database, service: 'sts', replica, newId }),
  });
  revocations.onAnchor(({ zoneId, kind, id }) => dropAnchored(memory.drops, zoneId, { kind, id }));
  return {
    revocations,
    directory: memory.cached.directory,
    graph: memory.cached.graph,
    connections: memory.cached.connections,
    subjects: memory.subjects,
    zoneKeys: memory.zoneKeys,
    verifier: memory.verifier,
    drops: memory.drops,
    sizes: () => ({ ...memory.cached.sizes(), ...memory.subjects.sizes() }),
    follow(handling) {
      const head = readStreamHead(database, handling.stream);
      const tail = createInvalidationTail({ ...handling, ...shared, head, positions: revocations.positions });
      tails.set(handling.stream, tail);
      tail.start();
    },
    async [Symbol.asyncDispose]() {
      for (const tail of tails.values()) await tail[Symbol.asyncDispose]();
      await revocations[Symbol.asyncDispose]();
    },
  };
}
