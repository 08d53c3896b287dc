// The settings of the STS: one row each, grouped by concern.
import {
  coordinatorAddressSettings,
  defineSettings,
  egressSettings,
  gatewayStsKeySettings,
  issuerSettings,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  outboxSettings,
  privateEgressSettings,
  publicAddressSettings,
  revocationSettings,
  setting,
  storeSettings,
  trailSettings,
  zoneKekSettings,
} from '#mesh/config';
import type { ConfigOf, Environment } from '#mesh/config';

const policySettings = defineSettings({
  opaUrls: setting.urls({
    name: 'OPA_URL',
    sentence: 'REST API of OPA, one or several; a zone stays with one while it answers.',
    required: true,
  }),
  opaToken: setting.secret({
    name: 'OPA_TOKEN',
    sentence: 'Bearer by which OPA knows the STS; OPA must refuse everyone else.',
    required: 'published',
  }),
  opaBinary: setting.path({
    name: 'OPA_BINARY',
    sentence:
      'Program of OPA, by which policies are compiled for the STS itself; without it OPA_URL is asked each time.',
  }),
  maxLoadedSets: setting.integer({
    name: 'OPA_MAX_LOADED_SETS',
    sentence: 'Policy-set versions kept loaded in each OPA, and compiled in the STS; the least recently used go.',
    // Compiled sets take half a megabyte each. Every load into an OPA recompiles all of its modules.
    default: 256,
    min: 1,
    max: 10_000,
  }),
  timeoutMs: setting.integer({
    name: 'OPA_TIMEOUT_MS',
    sentence: 'Milliseconds one evaluation may take before it counts as a denial.',
    default: 250,
    min: 10,
    max: 5000,
  }),
  memoEntries: setting.integer({
    name: 'POLICY_MEMO_ENTRIES',
    sentence: 'Policy answers remembered by version and input; 1 remembers next to nothing.',
    // About 1 KiB each.
    default: 50_000,
    min: 1,
    max: 5_000_000,
  }),
});

const clientSettings = defineSettings({
  secretVerifyConcurrency: setting.integer({
    name: 'STS_SECRET_VERIFY_CONCURRENCY',
    sentence: 'Argon2id derivations at once, 64 MiB each.',
    default: 2,
    min: 1,
    max: 64,
  }),
  mintRateLimitPerMin: setting.integer({
    name: 'STS_MINT_RATE_LIMIT_PER_MIN',
    sentence: 'Mandates an application may get for one resource in a minute.',
    default: 1000,
    min: 1,
    max: 10_000_000,
  }),
});

const providerSettings = defineSettings({
  maxGrantTtlSeconds: setting.integer({
    name: 'MAX_GRANT_TTL_SECONDS',
    sentence: 'Seconds after which an access token of a provider is renewed, whatever life the provider gave it.',
    default: 3600,
    min: 60,
    max: 86_400,
  }),
});

/** Every setting of the STS. */
export const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('sts'),
  stores: storeSettings(),
  keys: { ...keySettings, ...gatewayStsKeySettings, ...zoneKekSettings },
  issuer: issuerSettings,
  addresses: { ...publicAddressSettings, ...coordinatorAddressSettings },
  policy: policySettings,
  clients: clientSettings,
  outbox: outboxSettings({ pollMs: 250, batchSize: 64, maxAttempts: 100 }),
  trail: trailSettings,
  revocation: revocationSettings,
  egress: { ...egressSettings, ...privateEgressSettings },
  providers: providerSettings,
});

export type StsConfig = ConfigOf<typeof table>;

/** The configuration of an environment; throws ConfigError with every problem. */
export const loadStsConfig = (env: Environment): StsConfig => loadConfig(table, env);
