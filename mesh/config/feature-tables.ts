// Settings of parts that two or more services carry: relays, trails, revocation views, calls to peers, guards of egress.
// They stand apart from tables.ts because a service takes only those of the parts it has.
import { setting } from './builders.ts';
import { defineSettings } from './setting.ts';

export interface OutboxDefaults {
  readonly pollMs: number;
  readonly batchSize: number;
  readonly maxAttempts: number;
}

/** How a service's relay empties its outbox. */
export function outboxSettings(defaults: OutboxDefaults) {
  return defineSettings({
    pollMs: setting.integer({
      name: 'OUTBOX_POLL_MS',
      aliases: ['OUTBOX_INTERVAL_MS'],
      sentence: 'Milliseconds between looks at the outbox when nothing wakes the relay.',
      default: defaults.pollMs,
      min: 10,
      max: 60_000,
    }),
    batchSize: setting.integer({
      name: 'OUTBOX_BATCH_SIZE',
      sentence: 'Entries published in one pipeline.',
      default: defaults.batchSize,
      min: 1,
      max: 1000,
    }),
    maxAttempts: setting.integer({
      name: 'OUTBOX_MAX_ATTEMPTS',
      sentence: 'Refusals by Redis after which an entry is dead; Redis being away counts none.',
      default: defaults.maxAttempts,
      min: 1,
      max: 10_000,
    }),
  });
}

/** The local journal of evidence. */
export const trailSettings = defineSettings({
  journalDirectory: setting.path({
    name: 'AUDIT_REPLAY_DIR',
    sentence: 'Folder of the journal that holds evidence until the ledger has it; durable and of this replica alone.',
    default: '/var/lib/caracal/audit-replay',
  }),
  journalMaxBytes: setting.integer({
    name: 'AUDIT_REPLAY_MAX_BYTES',
    sentence: 'Bytes the journal may take.',
    // 1 GiB: about 700,000 events of 1.5 KB, a quarter of an hour at the ingestion budget.
    default: 1_073_741_824,
    min: 1_048_576,
    max: 1_099_511_627_776,
  }),
  streamHighWaterPercent: setting.integer({
    name: 'AUDIT_STREAM_HIGH_WATER_PERCENT',
    sentence: "Percent of Redis' maxmemory from which evidence goes to the journal alone.",
    default: 70,
    min: 10,
    max: 95,
  }),
});

/** How old knowledge of revocations may be. */
export const revocationSettings = defineSettings({
  maxStalenessMs: setting.integer({
    name: 'REVOCATION_MAX_STALENESS_MS',
    sentence: 'Milliseconds without confirmed revocations after which nothing is served.',
    default: 5000,
    // Heartbeats and renewals come every second: two may be late before anything is refused.
    min: 2500,
    max: 60_000,
  }),
});

/** The issuer, as tokens name it and as clients reach it. */
export const issuerSettings = defineSettings({
  issuerUrl: setting.url({
    name: 'ISSUER_URL',
    sentence: 'Address of the STS as clients use it: `iss` of every mandate and base of its metadata.',
    required: true,
  }),
});

/** How a service calls the STS. */
export const stsPeerSettings = defineSettings({
  stsUrl: setting.url({ name: 'STS_URL', sentence: 'Where the STS answers its peers.', required: true }),
  insecureSts: setting.flag({
    name: 'INSECURE_STS',
    sentence: 'Do not verify who answers as STS.',
    default: false,
    unsafe: true,
  }),
});

/** Outside addresses that proofs of possession are compared with. */
export const publicAddressSettings = defineSettings({
  gatewayPublicUrls: setting.urls({
    name: 'GATEWAY_PUBLIC_URLS',
    sentence: 'Addresses of the Gateway as clients use them.',
    default: [],
  }),
});

export const coordinatorAddressSettings = defineSettings({
  coordinatorPublicUrl: setting.url({
    name: 'COORDINATOR_PUBLIC_URL',
    sentence: 'Address of the Coordinator as clients use it.',
  }),
});

/** A host, an address or either with a port. */
const hostEntry = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f:]{2,45})(?::\d{1,5})?$/;
const hostForm = 'comma-separated hosts, each with or without a port';

/** Where connections to destinations that tenants name may go. */
export const egressSettings = defineSettings({
  upstreamHostAllowlist: setting.list({
    name: 'UPSTREAM_HOST_ALLOWLIST',
    sentence: 'The only hosts upstreams may be on; empty allows all that are not blocked.',
    pattern: hostEntry,
    form: hostForm,
    default: [],
  }),
  upstreamHostDenylist: setting.list({
    name: 'UPSTREAM_HOST_DENYLIST',
    sentence: 'Hosts no upstream may be on, beside the installation itself, which is always blocked.',
    pattern: hostEntry,
    form: hostForm,
    default: [],
  }),
  upstreamDevLoopbackHosts: setting.list({
    name: 'UPSTREAM_DEV_LOOPBACK_HOSTS',
    sentence: 'Loopback upstreams a developer allows by name.',
    pattern: hostEntry,
    form: hostForm,
    default: [],
    devOnly: true,
  }),
});

/** Private destinations the STS may call beside public ones, and whom it believes there. */
export const privateEgressSettings = defineSettings({
  egressCaFile: setting.path({
    name: 'EGRESS_CA_FILE',
    sentence: 'PEM bundle of authorities that providers and issuers may have beside the public ones.',
  }),
  privateEgressHosts: setting.list({
    name: 'CARACAL_PRIVATE_EGRESS_HOSTS',
    sentence: 'Hosts in private ranges that providers and issuers may be on, over https.',
    pattern: hostEntry,
    form: hostForm,
    default: [],
  }),
});
