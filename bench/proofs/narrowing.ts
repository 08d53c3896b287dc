// Random delegation paths, most of them narrowing and many spoiled in one place, against a second reading of the rules:
// whatever is valid carries no more than any edge above it, and whatever is refused breaks a rule.
import { checkPath, narrowScopes, type PathEdge } from '#mesh/authority';
import type { Proof } from './proof.ts';
import { seededRandom } from './seeded-random.ts';

const nowMs = 1_800_000_000_000;
const scopes = ['a', 'b', 'c', 'd', 'e'];
const resources = ['r1', 'r2', 'r3'];

type Random = () => number;

export const narrowingProof: Proof = {
  name: 'narrowing',
  sentence: 'No path of delegations and no request ever carries more than everything above it.',
  unit: 'thousands of random paths and requests',
  defaultSize: 200,
  run: async ({ size, seed }) => {
    const random = seededRandom(seed);
    const counts = { valid: 0, refused: 0, granted: 0, denied: 0 };
    const problems: string[] = [];
    for (let at = 0; at < size * 1000 && problems.length < 10; at += 1) {
      const path = randomPath(random);
      const verdict = checkPath(path, nowMs);
      counts[verdict.kind] += 1;
      const problem = verdict.kind === 'valid' ? widening(path, verdict) : brokenRule(path) === undefined;
      if (problem === true) problems.push(`case ${at}: refused without a broken rule: ${JSON.stringify(path)}`);
      else if (problem) problems.push(`case ${at}: ${problem}: ${JSON.stringify(path)}`);
      const wrong = wrongRequest(random, counts);
      if (wrong !== undefined) problems.push(`case ${at}: ${wrong}`);
    }
    return {
      columns: ['verdict', 'cases'],
      rows: Object.entries(counts),
      facts: counts,
      problems,
    };
  },
};

type Valid = Extract<ReturnType<typeof checkPath>, { kind: 'valid' }>;

/** What a valid path claims beyond its edges, or a rule it breaks all the same. */
function widening(path: readonly PathEdge[], verdict: Valid): string | undefined {
  const broken = brokenRule(path);
  if (broken !== undefined) return `valid although ${broken}`;
  for (const edge of path) {
    if (!verdict.scopes.every((scope) => edge.scopes.includes(scope))) return `scopes beyond ${edge.id}`;
    const bounded = edge.resources.length > 0;
    if (bounded && verdict.resources.length === 0) return `no bound although ${edge.id} has one`;
    if (bounded && !verdict.resources.every((each) => edge.resources.includes(each)))
      return `resources beyond ${edge.id}`;
    if (verdict.expiresAtMs > edge.expiresAtMs) return `lives longer than ${edge.id}`;
    if (edge.ttlSeconds !== undefined && verdict.expiresAtMs > nowMs + edge.ttlSeconds * 1000) {
      return `lives longer than the time of ${edge.id}`;
    }
  }
  return undefined;
}

/** The rules of authority.md on a path, one by one. */
const rules: readonly { readonly says: string; readonly holds: (path: readonly PathEdge[]) => boolean }[] = [
  { says: 'its length is impossible', holds: (path) => path.length >= 1 && path.length <= 10 },
  { says: 'an edge is not active', holds: (path) => path.every(({ state }) => state === 'active') },
  { says: 'an edge has expired', holds: (path) => path.every(({ expiresAtMs }) => expiresAtMs > nowMs) },
  { says: 'an edge has no time', holds: (path) => path.every(({ ttlSeconds = 1 }) => ttlSeconds > 0) },
  { says: 'an edge has no scope', holds: (path) => path.every((edge) => edge.scopes.length > 0) },
  { says: 'hops are out of range', holds: (path) => path.every(({ maxHops }) => maxHops >= 1 && maxHops <= 10) },
  {
    says: 'an edge is not linked to the one above',
    holds: (path) => pairs(path).every(([above, edge]) => isLinked(above, edge)) && path[0]?.parentEdgeId === undefined,
  },
  {
    says: 'a session comes twice',
    holds: (path) =>
      new Set([path[0]?.sourceSessionId, ...path.map((edge) => edge.targetSessionId)]).size === path.length + 1,
  },
  {
    says: 'scopes widen',
    holds: (path) => pairs(path).every(([above, edge]) => edge.scopes.every((scope) => above.scopes.includes(scope))),
  },
  {
    says: 'resources widen',
    holds: (path) =>
      path.every((edge, at) => {
        const bound = path.slice(0, at).findLast((above) => above.resources.length > 0)?.resources;
        return bound === undefined || edge.resources.every((each) => bound.includes(each));
      }),
  },
  { says: 'hops do not fall', holds: (path) => pairs(path).every(([above, edge]) => edge.maxHops < above.maxHops) },
];

function brokenRule(path: readonly PathEdge[]): string | undefined {
  return rules.find(({ holds }) => !holds(path))?.says;
}

function pairs(path: readonly PathEdge[]): [PathEdge, PathEdge][] {
  return path.slice(1).map((edge, at) => [path[at] as PathEdge, edge]);
}

function isLinked(above: PathEdge, edge: PathEdge): boolean {
  return (
    edge.parentEdgeId === above.id &&
    edge.sourceSessionId === above.targetSessionId &&
    edge.issuerApplicationId === above.receiverApplicationId
  );
}

function randomPath(random: Random): PathEdge[] {
  const path: PathEdge[] = [];
  const length = 1 + Math.floor(random() * 6);
  for (let at = 0; at < length; at += 1) path.push(edgeBelow(path.at(-1), { at, random }));
  const spoiled = Math.floor(random() * path.length * 2);
  const edge = path[spoiled];
  if (edge !== undefined) path[spoiled] = { ...edge, ...spoil(random) };
  return path;
}

function edgeBelow(above: PathEdge | undefined, { at, random }: { at: number; random: Random }): PathEdge {
  const bound = above === undefined || above.resources.length === 0 ? resources : above.resources;
  return {
    id: `e${at}`,
    ...(above === undefined ? {} : { parentEdgeId: above.id }),
    sourceSessionId: `s${at}`,
    targetSessionId: `s${at + 1}`,
    issuerApplicationId: `a${at}`,
    receiverApplicationId: `a${at + 1}`,
    scopes: some(above?.scopes ?? scopes, random),
    // A third says nothing, which means those of the source.
    resources: random() < 1 / 3 ? [] : some(bound, random),
    maxHops: (above?.maxHops ?? 11) - 1,
    ...(random() < 0.5 ? {} : { ttlSeconds: 1 + Math.floor(random() * 1000) }),
    expiresAtMs: nowMs + 1 + Math.floor(random() * 1_000_000),
    state: 'active',
  };
}

function spoil(random: Random): Partial<PathEdge> {
  const ways: (() => Partial<PathEdge>)[] = [
    () => ({ scopes: some(scopes, random) }),
    () => ({ resources: some(resources, random) }),
    () => ({ maxHops: Math.floor(random() * 13) - 1 }),
    () => ({ state: 'revoked' }),
    () => ({ expiresAtMs: nowMs - Math.floor(random() * 2) }),
    () => ({ targetSessionId: `s${Math.floor(random() * 7)}` }),
    () => ({ parentEdgeId: `e${Math.floor(random() * 7)}` }),
    () => ({ receiverApplicationId: 'another' }),
    () => ({ ttlSeconds: Math.floor(random() * 3) - 1 }),
    () => ({ scopes: [] }),
  ];
  return ways[Math.floor(random() * ways.length)]?.() ?? {};
}

/** At least one of them. */
function some(values: readonly string[], random: Random): string[] {
  const kept = values.filter(() => random() < 0.7);
  return kept.length > 0 ? kept : values.slice(0, 1);
}

function wrongRequest(random: Random, counts: { granted: number; denied: number }): string | undefined {
  const bounds = Array.from({ length: Math.floor(random() * 4) }, () => some(scopes, random));
  const requested = random() < 0.3 ? undefined : some([...scopes, 'unknown'], random);
  const verdict = narrowScopes(requested, bounds);
  const common = scopes.filter((scope) => bounds.length > 0 && bounds.every((bound) => bound.includes(scope)));
  const isWithin = (requested ?? common).every((scope) => common.includes(scope));
  const mayGrant = isWithin && (requested ?? common).length > 0;
  counts[verdict.kind === 'granted' ? 'granted' : 'denied'] += 1;
  if ((verdict.kind === 'granted') !== mayGrant) return `${JSON.stringify({ requested, bounds, verdict })}`;
  if (verdict.kind !== 'granted') return undefined;
  const expected = (requested ?? common).toSorted((a, b) => a.localeCompare(b));
  return JSON.stringify(verdict.scopes) === JSON.stringify(expected)
    ? undefined
    : JSON.stringify({ requested, verdict });
}
