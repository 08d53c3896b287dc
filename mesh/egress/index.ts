// Egress: the pure rules about destinations that tenants name. What opens connections by them is #mesh/dial.
export {
  classifyAddress,
  judgeDestination,
  type AddressKind,
  type Destination,
  type DestinationRules,
  type DestinationVerdict,
  type Endpoint,
  type OwnAddresses,
} from './destination.ts';
export { bareHost, hostOf, namesHost, parseHostEntries, parseHostEntry, type HostEntry } from './host-entry.ts';
