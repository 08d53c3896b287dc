// Sealed secrets.
//
//   const keyring = createKeyring({ current: kekHex, previous });
//   const envelope = seal(keyring, secret, { table: 'api.provider_secrets', column: 'envelope', rowId });
//   open(keyring, envelope, { table: 'api.provider_secrets', column: 'envelope', rowId });
export {
  createKeyring,
  isCurrent,
  longestSecretBytes,
  open,
  seal,
  SecretUnreadable,
  type Keyring,
  type SecretLocation,
} from './envelope.ts';
export { kekProblem, type KekProblem } from './kek.ts';
