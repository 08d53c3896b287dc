// Identifiers: what they look like, which kinds there are, and where new ones come from.
export { SYSTEM_ZONE, newId, type IdSource } from './source.ts';
export {
  isTextId,
  knownId,
  parseRequestId,
  textId,
  type AgentSessionId,
  type ApplicationId,
  type EdgeId,
  type EventId,
  type KeyId,
  type PolicyId,
  type PolicySetId,
  type PolicySetVersionId,
  type PolicyVersionId,
  type ProviderId,
  type RequestId,
  type ResourceId,
  type SessionRecordId,
  type TextId,
  type ZoneId,
} from './text-id.ts';
