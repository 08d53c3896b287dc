// The API's settings.
import {
  type ConfigOf,
  defineSettings,
  type Environment,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  outboxSettings,
  setting,
  storeSettings,
  stsPeerSettings,
} from '#mesh/config';

const administration = defineSettings({
  adminToken: setting.secret({
    name: 'ADMIN_TOKEN',
    aliases: ['CARACAL_ADMIN_TOKEN'],
    sentence: 'The bootstrap admin token: global, everything allowed. Another value ends the one before it.',
    required: true,
  }),
  requestsPerMinute: setting.integer({
    name: 'API_V1_RATE_LIMIT_PER_MIN',
    sentence: 'Requests a minute that one admin token may make.',
    // A hundred a second for one administrator is a program that has gone wild.
    default: 6000,
    min: 1,
    max: 10_000_000,
  }),
  authenticationFailuresPerMinute: setting.integer({
    name: 'ADMIN_AUTH_FAIL_LIMIT_PER_MIN',
    sentence: 'Refused admin tokens a minute from one address, after which refusals say to come back later.',
    default: 60,
    min: 1,
    max: 1_000_000,
  }),
  zoneKeyLeadSeconds: setting.integer({
    name: 'ZONE_KEY_LEAD_SECONDS',
    sentence: 'How long a new zone key is published before it signs. Below 300 in dev only.',
    // As long as any verifier of ours may go without learning of it: 300 s that a key set is fresh, 600 s more while the
    // STS cannot be read, and a minute for a replica of the STS that learns of it late.
    default: 960,
    min: 0,
    max: 86_400,
  }),
});

const peers = defineSettings({
  auditUrl: setting.url({ name: 'AUDIT_URL', sentence: 'Where Audit answers its peers.', required: true }),
  coordinatorUrl: setting.url({
    name: 'COORDINATOR_URL',
    sentence: 'Where the Coordinator answers its peers.',
    required: true,
  }),
  issuerUrl: setting.url({
    name: 'ISSUER_URL',
    sentence: 'Address of the STS as clients use it; no subject issuer may have it.',
  }),
});

export const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('api'),
  stores: storeSettings({ statementTimeoutMs: 15_000 }),
  keys: keySettings,
  outbox: outboxSettings({ pollMs: 250, batchSize: 32, maxAttempts: 100 }),
  sts: stsPeerSettings,
  peers,
  administration,
});

export type ApiConfig = ConfigOf<typeof table>;

/** For as long as a key set may be cached (its max-age) nobody need know a new key. */
const jwksMaxAgeSeconds = 300;

function checkLead({ mode, administration: { zoneKeyLeadSeconds } }: ApiConfig, problems: string[]): void {
  if (mode.mode !== 'dev' && zoneKeyLeadSeconds < jwksMaxAgeSeconds) {
    problems.push('ZONE_KEY_LEAD_SECONDS must be at least 300: key sets are cached that long');
  }
}

export const loadApiConfig = (env: Environment): ApiConfig => loadConfig(table, env, { checks: checkLead });
