// Authority: the pure rules by which scopes, resources and delegation paths narrow. Nothing here ever widens.
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
