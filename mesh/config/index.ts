// Configuration: builders of settings, the tables services share, and loading with all problems at once.
export { setting } from './builders.ts';
export { ConfigError, configExitCode, printConfigErrorAndExitCode } from './config-error.ts';
export { formatDuration, parseDuration } from './duration.ts';
export { loadConfig, type ExtraChecks, type LoadOptions } from './load.ts';
export { modes, type Mode } from './mode.ts';
export { renderSettingsReference } from './reference.ts';
export type { Environment } from './resolve.ts';
export type { SecretFile, SecretFiles } from './secret-files.ts';
export { defineSettings, type ConfigOf, type Setting, type SettingGroup, type SettingTable } from './setting.ts';
export {
  gatewayStsKeySettings,
  keySettings,
  listenerSettings,
  modeSettings,
  storeSettings,
  zoneKekSettings,
} from './tables.ts';
export {
  coordinatorAddressSettings,
  egressSettings,
  issuerSettings,
  outboxSettings,
  privateEgressSettings,
  publicAddressSettings,
  revocationSettings,
  stsPeerSettings,
  trailSettings,
} from './feature-tables.ts';
export { isLoopbackHost } from './url-setting.ts';
