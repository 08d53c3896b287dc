// The settings of the Gateway.
import {
  defineSettings,
  egressSettings,
  gatewayStsKeySettings,
  issuerSettings,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  publicAddressSettings,
  revocationSettings,
  setting,
  storeSettings,
  stsPeerSettings,
  trailSettings,
  type ConfigOf,
  type Environment,
} from '#mesh/config';

const forwarding = defineSettings({
  maxRequestBytes: setting.integer({
    name: 'MAX_REQUEST_BYTES',
    sentence: 'Largest request body that is passed on.',
    // 10 MiB: documents and images, not backups.
    default: 10_485_760,
    min: 0,
    max: 1_099_511_627_776,
  }),
  upstreamTimeoutMs: setting.duration({
    name: 'UPSTREAM_TIMEOUT',
    sentence: 'Longest wait for the head of an upstream’s answer.',
    default: 30_000,
    minMs: 100,
    maxMs: 600_000,
  }),
  streamIdleTimeoutMs: setting.duration({
    name: 'STREAM_IDLE_TIMEOUT',
    sentence: 'Longest silence of a body, in either direction.',
    default: 60_000,
    minMs: 100,
    maxMs: 3_600_000,
  }),
  stsTimeoutMs: setting.duration({
    name: 'STS_TIMEOUT',
    sentence: 'Longest wait for a decision.',
    default: 5000,
    minMs: 50,
    maxMs: 30_000,
  }),
  readTimeoutMs: setting.duration({
    name: 'READ_TIMEOUT',
    sentence: 'Longest time a request body may take to arrive.',
    default: 300_000,
    minMs: 1000,
    maxMs: 3_600_000,
  }),
  rateLimitPerMinute: setting.integer({
    name: 'GATEWAY_RATE_LIMIT_PER_MIN',
    sentence:
      'Governed calls a minute of one application at one resource; 0 sets no limit, a resource may set its own.',
    default: 0,
    min: 0,
    max: 10_000_000,
  }),
  upstreamCaFile: setting.path({
    name: 'UPSTREAM_CA_FILE',
    sentence: 'PEM bundle of authorities that upstreams may have beside the public ones.',
  }),
});

const caches = defineSettings({
  bindingsReloadMs: setting.integer({
    name: 'BINDINGS_RELOAD_MS',
    sentence: 'Milliseconds between full reads of the resources, beside the stream of changes.',
    default: 30_000,
    min: 1000,
    max: 3_600_000,
  }),
  jtiCacheSize: setting.integer({
    name: 'JTI_CACHE_SIZE',
    sentence: 'Ids of used mandates that are remembered to refuse them without asking Redis.',
    default: 10_000,
    min: 1,
    max: 10_000_000,
  }),
  reusableVerdicts: setting.integer({
    name: 'GATEWAY_REUSABLE_VERDICTS',
    sentence: 'Allows that are remembered to be given again; 0 asks the STS each time.',
    // Some 1.5 KB each.
    default: 10_000,
    min: 0,
    max: 1_000_000,
  }),
});

export const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('gateway'),
  stores: storeSettings(),
  keys: {
    ...keySettings,
    ...gatewayStsKeySettings,
    // An unsigned stream tells nothing that could be acted on, in dev neither.
    streamsHmacKey: setting.hexKey({
      name: 'STREAMS_HMAC_KEY',
      sentence: 'Signs entries of Redis streams.',
      required: true,
    }),
  },
  trail: trailSettings,
  revocation: revocationSettings,
  peers: { ...stsPeerSettings, ...issuerSettings, ...publicAddressSettings },
  egress: egressSettings,
  forwarding,
  caches,
});

export type GatewayConfig = ConfigOf<typeof table>;

export const loadGatewayConfig = (env: Environment): GatewayConfig => loadConfig(table, env);
