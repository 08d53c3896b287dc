// The settings that more than one service has, each written once.
// They stand together so that a variable means the same wherever it is set.
import { ports, services, type ServiceName } from '#mesh/topology';
import { setting } from './builders.ts';
import { modes } from './mode.ts';
import { defineSettings } from './setting.ts';

export const modeSettings = defineSettings({
  mode: setting.choice(modes, {
    name: 'CARACAL_MODE',
    sentence: 'How strict the installation is: rc and stable refuse every unsafe setting, dev allows them.',
    default: 'stable',
  }),
});

const transport = defineSettings({
  tlsCertFile: setting.path({
    name: 'TLS_CERT_FILE',
    sentence: 'PEM chain of the certificate this service shows; also its identity towards its peers.',
  }),
  tlsKeyFile: setting.path({
    name: 'TLS_KEY_FILE',
    sentence: 'PEM private key of that certificate.',
    privateFile: true,
  }),
  insecureHttp: setting.flag({
    name: 'INSECURE_HTTP',
    sentence: 'Listen without TLS although no mesh is declared.',
    default: false,
    unsafe: true,
  }),
  clientCaFile: setting.path({
    name: 'CLIENT_CA_FILE',
    sentence: 'PEM bundle that client certificates of mTLS-bound mandates must chain to; unset accepts any.',
  }),
});

const identity = defineSettings({
  meshCaFile: setting.path({
    name: 'MESH_CA_FILE',
    sentence: 'PEM bundle that certificates of peers and operators must chain to, and nothing else may.',
  }),
  meshTrustDomain: setting.text({
    name: 'MESH_TRUST_DOMAIN',
    sentence: 'SPIFFE trust domain of this installation.',
    pattern: /^[a-z0-9._-]{1,255}$/,
    form: 'a SPIFFE trust domain',
  }),
  meshIdentity: setting.choice(['linkerd', 'istio'], {
    name: 'MESH_IDENTITY',
    sentence: 'Service mesh that encrypts and identifies connections in place of certificates of ours.',
  }),
  meshPeers: setting.map(services, {
    name: 'MESH_PEERS',
    sentence: 'Full identity of each service in that mesh, `identity=service`; compared exactly.',
  }),
});

const operation = defineSettings({
  metricsBearer: setting.secret({
    name: 'METRICS_BEARER',
    sentence: 'Bearer that /metrics asks for; in dev unset leaves it open.',
    required: 'published',
  }),
  logLevel: setting.choice(['debug', 'info', 'warn', 'error'], {
    name: 'LOG_LEVEL',
    sentence: 'The least important lines to write.',
    default: 'info',
  }),
  shutdownGraceMs: setting.integer({
    name: 'SHUTDOWN_GRACE_MS',
    sentence: 'Milliseconds that running requests get to finish after SIGTERM.',
    // Below the 30 s after which orchestrators kill, with room for stopping the rest.
    default: 15_000,
    min: 0,
    max: 600_000,
  }),
  otlpEndpoint: setting.url({
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    sentence: 'OTLP/HTTP receiver of traces; unset sends none.',
  }),
  replicaId: setting.text({
    name: 'REPLICA_ID',
    sentence: 'Tells replicas of a service apart in logs, traces and membership; unset makes one up.',
    pattern: /^[A-Za-z0-9_.:-]{1,128}$/,
    form: '1 to 128 characters of A-Z a-z 0-9 _ . : -',
  }),
});

/** Port, transport and identity of a service, and what it tells about itself. */
export function listenerSettings(service: ServiceName) {
  return defineSettings({
    port: setting.integer({
      name: 'PORT',
      sentence: 'Port to listen on; 0 takes any free one.',
      default: ports[service],
      min: 0,
      max: 65_535,
      publishedOnly: ports[service],
    }),
    host: setting.text({
      name: 'LISTEN_HOST',
      sentence: 'Address to listen on.',
      pattern: /^[0-9A-Za-z.:%_-]{1,253}$/,
      form: 'an address or a host name',
      default: '127.0.0.1',
      publishedDefault: '0.0.0.0',
    }),
    ...transport,
    ...identity,
    ...operation,
  });
}

export interface StoreDefaults {
  /** Longest a statement of this service may run, milliseconds. */
  readonly statementTimeoutMs?: number | undefined;
}

/** Postgres and Redis. `AUDIT_STREAM_URL` unset means `REDIS_URL`. */
export function storeSettings({ statementTimeoutMs = 15_000 }: StoreDefaults = {}) {
  const milliseconds = { min: 100, max: 600_000 };
  return defineSettings({
    databaseUrl: setting.url({
      name: 'DATABASE_URL',
      sentence: 'Postgres, as the login user of this service.',
      kind: 'postgres',
      required: true,
    }),
    databasePoolMax: setting.integer({
      name: 'DB_POOL_MAX',
      sentence: 'Connections to Postgres at most.',
      // Five services with two replicas each stay within Postgres' 100 by default only below 10; 20 suits a managed one.
      default: 10,
      min: 1,
      max: 500,
    }),
    databaseConnectTimeoutMs: setting.integer({
      name: 'DB_CONNECTION_TIMEOUT_MS',
      sentence: 'Milliseconds to wait for a connection of the pool.',
      default: 5000,
      ...milliseconds,
    }),
    databaseIdleTimeoutMs: setting.integer({
      name: 'DB_IDLE_TIMEOUT_MS',
      sentence: 'Milliseconds after which an idle connection is closed.',
      default: 30_000,
      ...milliseconds,
    }),
    databaseStatementTimeoutMs: setting.integer({
      name: 'DB_STATEMENT_TIMEOUT_MS',
      sentence: 'Milliseconds a statement may run.',
      default: statementTimeoutMs,
      ...milliseconds,
    }),
    databaseIdleInTransactionTimeoutMs: setting.integer({
      name: 'DB_IDLE_IN_TX_TIMEOUT_MS',
      sentence: 'Milliseconds a transaction may sit idle before Postgres ends it.',
      default: 30_000,
      ...milliseconds,
    }),
    redisUrl: setting.url({
      name: 'REDIS_URL',
      sentence: 'Redis; streams live in its database 0, rate limits in 1.',
      kind: 'redis',
      required: true,
    }),
    redisPassword: setting.secret({
      name: 'REDIS_PASSWORD',
      sentence: 'Password of Redis when it is not part of REDIS_URL.',
      // Managed services hand out shorter ones than we would make.
      minLength: 12,
    }),
    auditStreamUrl: setting.url({
      name: 'AUDIT_STREAM_URL',
      sentence: 'Redis of the audit stream; unset means REDIS_URL.',
      kind: 'redis',
    }),
  });
}

/** The keys all five services hold. In dev unset STREAMS_HMAC_KEY leaves stream entries unsigned. */
export const keySettings = defineSettings({
  auditHmacKey: setting.hexKey({
    name: 'AUDIT_HMAC_KEY',
    sentence: 'Signs audit events between producer and ledger.',
    required: true,
  }),
  auditHmacKeyPrevious: setting.hexKey({
    name: 'AUDIT_HMAC_KEY_PREVIOUS',
    sentence: 'The key before, accepted while AUDIT_HMAC_KEY is rotated.',
  }),
  streamsHmacKey: setting.hexKey({
    name: 'STREAMS_HMAC_KEY',
    sentence: 'Signs entries of Redis streams.',
    required: 'published',
  }),
  streamsHmacKeyPrevious: setting.hexKey({
    name: 'STREAMS_HMAC_KEY_PREVIOUS',
    sentence: 'The key before, accepted while STREAMS_HMAC_KEY is rotated.',
  }),
});

/** What Gateway and STS prove themselves to each other with. */
export const gatewayStsKeySettings = defineSettings({
  gatewayStsHmacKey: setting.hexKey({
    name: 'GATEWAY_STS_HMAC_KEY',
    sentence: 'Proves Gateway and STS to each other on the authorization stream.',
    required: true,
  }),
  gatewayStsHmacKeyPrevious: setting.hexKey({
    name: 'GATEWAY_STS_HMAC_KEY_PREVIOUS',
    sentence: 'The key before, accepted while GATEWAY_STS_HMAC_KEY is rotated.',
  }),
});

/** The key that seals zone keys and provider secrets. The STS alone holds it. */
export const zoneKekSettings = defineSettings({
  zoneKek: setting.hexKey({
    name: 'ZONE_KEK',
    sentence: 'Seals zone signing keys and provider secrets.',
    required: true,
    bytes: 32,
    refuseWeak: true,
  }),
  zoneKekPrevious: setting.hexKey({
    name: 'ZONE_KEK_PREVIOUS',
    sentence: 'The key before, opens what it sealed while ZONE_KEK is rotated.',
    bytes: 32,
    refuseWeak: true,
  }),
});
