// Everything the flows need, in memory, for their tests: peers that can be away, a barrier that can be slow.
import { fail } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { sha256Hex } from '#mesh/canonical';
import type { AgentSessions } from '../../ports/agent-sessions.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { LedgerReader } from '../../ports/ledger.ts';
import type { ProviderPeer } from '../../ports/provider-peer.ts';
import type { StsPeer } from '../../ports/sts-peer.ts';
import { isPublicKey } from '../keys/public-key-check.ts';
import { memoryRecorded, memoryTrials } from './policy-trials.ts';
import { createMemoryControlStore, type MemoryControlStore } from './control-store.ts';

export interface MemoryApi {
  readonly deps: ApiDeps;
  readonly store: MemoryControlStore;
  /** Switches for what goes wrong. */
  readonly world: { stsAway: boolean; barrierBlocked: boolean };
  /** How often each peer was asked. */
  readonly asked: Record<'makeZoneKey' | 'sealSecret' | 'validate' | 'hashSecret', number>;
}

/** A policy that holds this word does not compile. */
export const brokenWord = 'BROKEN';

type Asked = MemoryApi['asked'];
type World = MemoryApi['world'];

export function createMemoryApi(): MemoryApi {
  const store = createMemoryControlStore();
  const world = { stsAway: false, barrierBlocked: false };
  const asked = { makeZoneKey: 0, sealSecret: 0, validate: 0, hashSecret: 0 };
  let filled = 0;
  const applied = async () => {
    if (world.barrierBlocked) throw fail('barrier_timeout', { details: { points: 1, missing: ['gateway/a'] } });
    return { applied: true, points: 2, gone: 0, elapsedMs: 3 };
  };
  const deps: ApiDeps = {
    store,
    sts: memorySts(store, world, asked),
    providers: memoryProviders(store),
    sealing: {
      async *reseal() {
        if (world.stsAway) throw fail('sts_unavailable');
        yield { checked: 2, resealed: 1, current: 1, failed: 0, done: true };
      },
    },
    ledger: memoryLedger,
    trials: memoryTrials,
    policyTemplates: [],
    recorded: memoryRecorded,
    sessions: memorySessions,
    barrier: { wait: applied, waitForAll: applied },
    propagation: {
      look: async () => ({ propagated: !world.barrierBlocked, points: 2, missing: [] }),
      wait: async () => ({ propagated: true, missing: [], ...(await applied()) }),
    },
    zoneKeyLeadSeconds: 960,
    newId,
    monotonicMs: () => performance.now(),
    subjectIssuerRules: { ownIssuer: 'https://sts.test', plainLoopback: false },
    random: (bytes) => new Uint8Array(bytes).fill((filled += 1)),
    isPublicKey,
    hashSecret: async (secret) => {
      asked.hashSecret += 1;
      return `hash of ${sha256Hex(secret)}`;
    },
    bodyDigests: (body) => [sha256Hex(body)],
  };
  return { deps, store, world, asked };
}

function memorySts(store: MemoryControlStore, world: World, asked: Asked): StsPeer {
  const ask = (what: keyof Asked): void => {
    asked[what] += 1;
    if (world.stsAway) throw fail('sts_unavailable');
  };
  return {
    makeZoneKey: async (_zoneId, keyId) => {
      ask('makeZoneKey');
      return { keyId, publicJwkJson: '{}', envelope: new Uint8Array([1]) };
    },
    sealSecret: async ({ value }) => {
      ask('sealSecret');
      return Buffer.from(sha256Hex(value), 'hex');
    },
    validate: async ({ policies }) => {
      ask('validate');
      return policies
        .filter(({ content }) => content.includes(brokenWord))
        .map(({ policyVersionId }) => {
          const place = { policyVersionId, line: 2, column: 3 };
          return { ...place, code: 'rego_parse_error', message: 'unexpected token' };
        });
    },
    introspect: async () => ({ active: false }),
    policyStatus: async () => {
      const active = store.state().tables.policySetVersions.rows.find((row) => row['active'] === true);
      return { versionId: active?.id, digest: active?.['digest'] as string | undefined, loaded: true };
    },
  };
}

/** Every state is `state`, every provider answers, and what completes is a connection of the zone. */
function memoryProviders(store: MemoryControlStore): ProviderPeer {
  return {
    test: async () => ({ reason: undefined, description: '', elapsedMs: 1, expiresAtMs: undefined }),
    begin: async ({ redirectUri }) => ({
      authorizationUrl: `https://idp.test/authorize?redirect_uri=${encodeURIComponent(redirectUri)}`,
      state: 'state',
      expiresAtMs: 1_800_000_600_000,
    }),
    complete: async ({ zoneId, state }) => {
      const { providers, connections } = store.state().tables;
      const provider = providers.rows[0];
      if (state !== 'state' || provider === undefined) throw fail('invalid_request');
      const fields = { zoneId, providerId: provider.id, subject: '', state: 'active', scopes: [] };
      connections.rows.push({ id: 'connection', createdAt: '2027-01-01T00:00:00.000000Z', ...fields });
      return { connectionId: 'connection', providerId: provider.id };
    },
  };
}

/** One event, of the request `known`, that carries what must not be shown. */
const memoryLedger: LedgerReader = {
  search: async () => ({ entries: [{ seq: 1, metadata: { client_secret: 'canary' } }] }),
  trace: async (_zoneId, requestId) => (requestId === 'known' ? [{ seq: 1 }] : []),
  verify: async function* () {
    yield { checked: 1, total: 1, findings: [], done: true, findingCount: 0 };
  },
};

const memorySessions: AgentSessions = {
  list: async () => ({ items: [], nextCursor: undefined }),
  get: async () => {
    throw fail('not_found');
  },
  end: async ({ sessionId }) => ({ endedSessionIds: [sessionId], revokedEdgeIds: [], revocationNumber: 1 }),
};
