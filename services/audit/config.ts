// Audit's settings.
import {
  type ConfigOf,
  defineSettings,
  type Environment,
  keySettings,
  listenerSettings,
  loadConfig,
  modeSettings,
  setting,
  storeSettings,
} from '#mesh/config';

const ledger = defineSettings({
  maxDeliveries: setting.integer({
    name: 'AUDIT_MAX_DELIVERIES',
    sentence: 'Deliveries of an event after which it goes to the dead letters; faults that pass count none.',
    default: 5,
    min: 1,
    max: 1000,
  }),
  retentionDays: setting.integer({
    name: 'AUDIT_RETENTION_DAYS',
    sentence: 'Days the ledger keeps events.',
    default: 365,
    min: 1,
    max: 36_500,
  }),
  checkpointKeyFile: setting.path({
    name: 'AUDIT_CHECKPOINT_KEY_FILE',
    sentence: 'PEM (PKCS #8) of the Ed25519 key that signs checkpoints and, with AUDIT_HMAC_KEY, makes the chain key.',
    required: true,
    privateFile: true,
  }),
  consumerName: setting.text({
    name: 'AUDIT_CONSUMER_NAME',
    aliases: ['HOSTNAME'],
    sentence:
      'Name of this replica in the consumer group; stable over restarts, so that it takes up what it had begun.',
    pattern: /^[A-Za-z0-9_.:-]{1,128}$/,
    form: '1 to 128 characters of A-Z a-z 0-9 _ . : -',
    default: 'audit-0',
  }),
});

export const table = defineSettings({
  mode: modeSettings,
  listener: listenerSettings('audit'),
  stores: storeSettings({ statementTimeoutMs: 30_000 }),
  keys: keySettings,
  ledger,
});

export type AuditConfig = ConfigOf<typeof table>;

export const loadAuditConfig = (env: Environment): AuditConfig => loadConfig(table, env);
