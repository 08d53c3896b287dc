// Dial: connections to destinations that tenants name, opened only to addresses that #mesh/egress allows at that moment.
export {
  createGuardedConnect,
  DestinationRefused,
  type DialTarget,
  type GuardOptions,
  type Resolve,
} from './guarded-connect.ts';
export { createOwnAddresses, type OwnAddressBook } from './own-addresses.ts';
