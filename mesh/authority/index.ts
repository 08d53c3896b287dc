// Authority: the pure rules by which scopes, resources and delegation paths narrow, and which mandate is good where. Nothing
// here ever widens.
export {
  acceptance,
  isProven,
  lifecycleScope,
  refuseMandate,
  type AcceptedClaims,
  type MandatePlace,
  type MandateRefusal,
  type ProvenKey,
} from './acceptance.ts';
export { earliestExpiry, narrowScopes, type NarrowVerdict } from './narrow.ts';
export { checkPath, maxPathEdges, type PathEdge, type PathRefusal, type PathVerdict } from './path.ts';
export {
  formatScope,
  intersect,
  isScopeToken,
  isSubset,
  maxScopeLength,
  maxScopes,
  parseScope,
  sortedSet,
  type Bound,
} from './scope.ts';
