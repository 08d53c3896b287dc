// Revocation at an enforcement point: anchors, freshness, lease; and the invalidation streams of other caches.
//
//   const openTail = createTailSource({ redis, signer, clock, logger, metrics });
//   await using revocations = createRevocationView({
//     source: createRevocationSource(database), openTail, clock, logger, metrics, maxStalenessMs,
//     membership: createEnforcementPoint({ database, service: 'gateway', replica, newId }),
//   });
//   await revocations.start();
//   revocations.assertUsable();                                            // Failure revocation_stale
//   const anchor = revocations.refuses(zoneId, claims.rev, mandateAnchors(mandate));   // token_revoked when there is one
//   const stop = revocations.onAnchor((hit) => cutWhatMatches(hit));       // and revocations.onStale(cutEverything)
//
//   await using policies = createInvalidationTail({
//     stream: 'caracal.policy.invalidate', openTail, head: readStreamHead(database, 'caracal.policy.invalidate'),
//     onEntry: (payload) => forget(payload), onReset: () => forgetAll(), clock, logger, metrics,
//   });
//   policies.start();                                                     // positions: revocations.positions lets others
//                                                                         // wait for it (createPropagation)
export type { Anchor } from './anchor.ts';
export { createRevocationBarrier, type BarrierReport, type RevocationBarrier } from './barrier.ts';
export type { StreamHead } from './follower.ts';
export { createPropagation, type Propagation, type PropagationReport } from './propagation.ts';
export { createInvalidationTail, type InvalidationTail, type InvalidationTailOptions } from './invalidation-tail.ts';
export type { MembershipPort } from './membership.ts';
export { createTailSource, type OpenTail, type TailHandlers, type TailSourceOptions } from './open-tail.ts';
export {
  createEnforcementPoint,
  createRevocationSource,
  readBarrier,
  readStreamHead,
  type BarrierState,
  type EnforcementPointOptions,
  type StreamNumber,
} from './postgres-source.ts';
export {
  createRevocationView,
  type RevocationSource,
  type RevocationView,
  type RevocationViewOptions,
} from './view.ts';
