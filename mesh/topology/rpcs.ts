// Who may call which RPC: every method of every contract, and nothing else.
// It stands alone as data; a call that is not in it is permission_denied and evidence.
import { services, type ServiceName } from './services.ts';

/**
 * What a caller can be: a service as mutual-TLS peer, an operator with a certificate, whoever presents a mandate
 * (`bearer`), or anyone at all.
 */
export type RpcCaller = ServiceName | 'operator' | 'bearer' | 'anyone';

export interface RpcRule {
  readonly callers: readonly RpcCaller[];
  /** What the method does, for the reference and for refusals in the log. */
  readonly sentence: string;
}

const anyone: readonly RpcCaller[] = ['anyone'];
const peersAndOperators: readonly RpcCaller[] = [...services, 'operator'];
const agents: readonly RpcCaller[] = ['bearer', 'api'];
const readers: readonly RpcCaller[] = ['api', 'operator'];

/** Keyed by `<package>.<Service>/<Method>`, as in the request path without its leading slash. */
export const rpcs: Readonly<Record<string, RpcRule>> = {
  'caracal.sts.v1.StsService/Authorize': {
    callers: ['gateway'],
    sentence: 'Decides governed calls over one multiplexed stream and releases credentials for the allowed ones.',
  },
  'caracal.sts.v1.StsService/MintSession': {
    callers: ['coordinator'],
    sentence: 'Mints the mandate of an agent session from the bearer of the caller that starts or renews it.',
  },
  'caracal.sts.v1.StsService/MakeZoneKey': {
    callers: ['api'],
    sentence: 'Makes a sealed signing key for a zone and stores nothing.',
  },
  'caracal.sts.v1.StsService/SealSecret': {
    callers: ['api'],
    sentence: 'Seals a provider secret for one row and stores nothing.',
  },
  'caracal.sts.v1.StsService/ValidatePolicy': {
    callers: ['api'],
    sentence: 'Compiles policies and says what is wrong with them.',
  },
  'caracal.sts.v1.StsService/PolicyStatus': {
    callers: ['api'],
    sentence: 'Says which policy-set version this replica enforces for a zone.',
  },
  'caracal.sts.v1.StsService/SimulatePolicy': {
    callers: ['api'],
    sentence: 'Decides one input by a candidate set and enforces nothing.',
  },
  'caracal.sts.v1.StsService/ReplayPolicy': {
    callers: ['api'],
    sentence: 'Decides recorded inputs again by a candidate set.',
  },
  'caracal.sts.v1.StsService/ResealSecrets': {
    callers: ['api'],
    sentence: 'Seals again what is still sealed under the previous key-encryption key.',
  },
  'caracal.sts.v1.StsService/TestProvider': {
    callers: ['api'],
    sentence: 'Obtains a credential from a provider and throws it away.',
  },
  'caracal.sts.v1.StsService/BeginConnection': {
    callers: ['api'],
    sentence: 'Starts an authorization-code connection to a provider.',
  },
  'caracal.sts.v1.StsService/CompleteConnection': {
    callers: ['api'],
    sentence: 'Redeems the authorization code of a connection.',
  },
  'caracal.sts.v1.StsService/Introspect': {
    callers: ['api'],
    sentence: 'Says what a token of a zone is worth now, for administrators.',
  },
  'caracal.sts.v1.StsService/WatchRevocations': {
    callers: ['bearer'],
    sentence: 'Streams the revocations of the zone of an ambient mandate.',
  },
  'caracal.coordinator.v1.CoordinatorService/StartSession': {
    callers: agents,
    sentence: 'Starts an agent session, as root or under a parent.',
  },
  'caracal.coordinator.v1.CoordinatorService/RenewSessionMandate': {
    callers: agents,
    sentence: 'Mints a new mandate for a live agent session.',
  },
  'caracal.coordinator.v1.CoordinatorService/EndSession': {
    callers: agents,
    sentence: 'Ends an agent session with everything below it.',
  },
  'caracal.coordinator.v1.CoordinatorService/GetSession': { callers: agents, sentence: 'Reads one agent session.' },
  'caracal.coordinator.v1.CoordinatorService/ListSessions': { callers: agents, sentence: 'Lists agent sessions.' },
  'caracal.coordinator.v1.CoordinatorService/CreateDelegation': {
    callers: agents,
    sentence: 'Delegates part of what a session holds to another session.',
  },
  'caracal.coordinator.v1.CoordinatorService/RevokeDelegation': {
    callers: agents,
    sentence: 'Revokes a delegation edge with everything derived from it.',
  },
  'caracal.audit.v1.AuditService/SearchEvents': { callers: readers, sentence: 'Searches the events of a zone.' },
  'caracal.audit.v1.AuditService/GetTrace': { callers: readers, sentence: 'Reads all events of one request.' },
  'caracal.audit.v1.AuditService/VerifyRange': {
    callers: readers,
    sentence: 'Recomputes the chain of a zone and names each row that does not fit.',
  },
  'caracal.audit.v1.AuditService/ReadInputs': {
    callers: ['api'],
    sentence: 'Streams the recorded decisions of a zone with their inputs.',
  },
  'grpc.health.v1.Health/Check': { callers: anyone, sentence: 'Says whether this replica serves.' },
  'grpc.health.v1.Health/List': { callers: anyone, sentence: 'Says whether each part of this replica serves.' },
  'grpc.health.v1.Health/Watch': { callers: anyone, sentence: 'Says whether this replica serves, and each change.' },
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo': {
    callers: peersAndOperators,
    sentence: 'Describes the contracts this replica serves; open to anyone in dev.',
  },
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': {
    callers: peersAndOperators,
    sentence: 'The same under the older name that many gRPC tools still ask for.',
  },
};
