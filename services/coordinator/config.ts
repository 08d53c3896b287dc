// The Coordinator's settings.
import {
  type ConfigOf,
  coordinatorAddressSettings,
  defineSettings,
  type Environment,
  issuerSettings,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  outboxSettings,
  setting,
  storeSettings,
  stsPeerSettings,
} from '#mesh/config';

const limits = defineSettings({
  maxDepth: setting.integer({
    name: 'MAX_DEPTH',
    sentence: 'How deep sessions may nest below a root.',
    default: 10,
    min: 0,
    max: 100,
  }),
  maxChildren: setting.integer({
    name: 'MAX_CHILDREN',
    sentence: 'Open child sessions of one session.',
    default: 10,
    min: 1,
    max: 100_000,
  }),
  maxPerZone: setting.integer({
    name: 'MAX_PER_ZONE',
    aliases: ['MAX_AGENTS_PER_ZONE'],
    sentence: 'Open sessions of one zone.',
    default: 50,
    min: 1,
    max: 1_000_000,
  }),
  maxPerApplication: setting.integer({
    name: 'MAX_PER_APP',
    aliases: ['MAX_AGENTS_PER_APP'],
    sentence: 'Open sessions of one application.',
    default: 200,
    min: 1,
    max: 1_000_000,
  }),
  defaultTtlSeconds: setting.integer({
    name: 'DEFAULT_TTL_SECONDS',
    sentence: 'Life of a session that names none.',
    default: 3600,
    min: 1,
    max: 86_400,
  }),
  sweepIntervalMs: setting.integer({
    name: 'TTL_SWEEP_INTERVAL_MS',
    sentence: 'Milliseconds between looks for sessions whose time has passed.',
    // Their mandates have expired by themselves; only counters wait for the sweep.
    default: 5_000,
    min: 100,
    max: 600_000,
  }),
});

export const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('coordinator'),
  stores: storeSettings({ statementTimeoutMs: 10_000 }),
  keys: keySettings,
  outbox: outboxSettings({ pollMs: 1000, batchSize: 50, maxAttempts: 10 }),
  issuer: issuerSettings,
  sts: stsPeerSettings,
  address: coordinatorAddressSettings,
  limits,
});

export type CoordinatorConfig = ConfigOf<typeof table>;

export const loadCoordinatorConfig = (env: Environment): CoordinatorConfig => loadConfig(table, env);
