// Makes worlds at random: mostly sound, with one rule or another broken often enough that each is met.
import { ReferenceModel } from './reference-model.ts';
import type { Ask, Change, EdgeFacts, SessionFacts, Step, World } from './world.ts';

export interface WorldOptions {
  readonly steps: number;
  /** Changes between exchanges, and lives that end meanwhile; false for worlds that are stored and asked over the wire. */
  readonly changing: boolean;
}

export type Random = () => number;

const scopeNames = ['a', 'b', 'c', 'd', 'e'];
const resourceNames = ['urn:r1', 'urn:r2', 'urn:r3', 'urn:r4'];
const applicationNames = ['app0', 'app1', 'app2', 'app3'];
const userNames = ['u0', 'u1'];

export function randomWorld(random: Random, options: WorldOptions): World {
  const draw = drawing(random, options.changing ? 2 : 600);
  const applications = applicationNames.map((name) => ({
    name,
    mayAct: draw.chance(0.15) ? draw.some(applicationNames, 0.4) : [],
    expiresIn: draw.maybeLife(0.1),
  }));
  const resources = resourceNames.map((identifier) => ({ identifier, scopes: draw.some(scopeNames, 0.75) }));
  const grants = userNames.flatMap((user) =>
    applicationNames.flatMap((application) =>
      resourceNames.flatMap((resource) =>
        draw.chance(0.5)
          ? [{ application, user, resource, scopes: draw.some(scopeNames, 0.7), expiresIn: draw.maybeLife(0.2) }]
          : [],
      ),
    ),
  );
  const { sessions, edges } = randomGraph(draw);
  const denied = resourceNames.flatMap((resource) =>
    draw.chance(0.3) ? [{ resource, scope: draw.one(scopeNames) }] : [],
  );
  const actorsForUsers = draw.chance(0.3);
  const world = { applications, resources, users: userNames, actorsForUsers, grants, sessions, edges, denied };
  return { ...world, steps: randomSteps(draw, world, options) };
}

type Drawing = ReturnType<typeof drawing>;

function drawing(random: Random, soonest: number) {
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  return {
    chance: (probability: number): boolean => random() < probability,
    between,
    /** Seconds until something ends; a few of them soon. */
    life: (soon: number): number => (random() < soon ? between(soonest, Math.max(900, soonest)) : between(900, 7200)),
    maybeLife: (probability: number): number | undefined =>
      random() < probability ? between(soonest, Math.max(2000, soonest)) : undefined,
    /** The shortest that a test of this kind can do with. */
    soonest,
    one,
    /** Each with a probability, at least one of them. */
    some: <T>(values: readonly T[], probability: number): readonly T[] => {
      const kept = values.filter(() => random() < probability);
      return kept.length > 0 ? kept : [one(values)];
    },
  };
}

interface Graph {
  readonly sessions: SessionFacts[];
  readonly edges: EdgeFacts[];
}

/** Two chains of sessions with an edge from each to the next; a third of the edges break one rule. */
function randomGraph(draw: Drawing): Graph {
  const graph: Graph = { sessions: [], edges: [] };
  for (const chain of ['x', 'y']) {
    const length = draw.between(2, 5);
    for (let at = 0; at < length; at += 1) {
      graph.sessions.push({
        name: `${chain}${at}`,
        application: draw.one(applicationNames),
        scopes: draw.some(scopeNames, 0.8),
        resources: draw.some(resourceNames, 0.8),
        expiresIn: draw.life(0.2),
        state: draw.chance(0.06) ? draw.one(['suspended', 'terminated'] as const) : 'active',
      });
    }
    addEdges(draw, graph, { chain, length });
  }
  return graph;
}

function addEdges(draw: Drawing, graph: Graph, { chain, length }: { chain: string; length: number }): void {
  const session = (at: number): SessionFacts =>
    graph.sessions.find(({ name }) => name === `${chain}${at}`) as SessionFacts;
  let above: EdgeFacts | undefined;
  for (let at = 0; at + 1 < length; at += 1) {
    const bound: readonly string[] = above && above.resources.length > 0 ? above.resources : resourceNames;
    const sound: EdgeFacts = {
      name: `${chain}-edge${at}`,
      parent: above?.name,
      source: `${chain}${at}`,
      target: `${chain}${at + 1}`,
      issuer: session(at).application,
      receiver: session(at + 1).application,
      scopes: draw.some(above?.scopes ?? scopeNames, 0.85),
      resources: draw.chance(0.4) ? [] : draw.some(bound, 0.8),
      maxHops: Math.max(1, (above?.maxHops ?? 10) - 1),
      ttlSeconds: draw.chance(0.2) ? draw.between(Math.min(draw.soonest, 600), 900) : undefined,
      expiresIn: draw.life(0.15),
      state: 'active',
    };
    const edge: EdgeFacts = draw.chance(0.12) ? { ...sound, ...spoiled(draw, sound) } : sound;
    graph.edges.push(edge);
    above = edge;
  }
}

/** One rule broken, or perhaps not: the model finds out. */
function spoiled(draw: Drawing, edge: EdgeFacts): Partial<EdgeFacts> {
  const ways: readonly (() => Partial<EdgeFacts>)[] = [
    () => ({ scopes: draw.some(scopeNames, 0.7) }),
    () => ({ resources: draw.some(resourceNames, 0.7) }),
    () => ({ maxHops: draw.between(1, 10) }),
    () => ({ state: draw.one(['revoked', 'pending'] as const) }),
    () => ({ receiver: draw.one(applicationNames) }),
    () => ({ issuer: draw.one(applicationNames) }),
    () => ({ parent: undefined, maxHops: edge.maxHops }),
  ];
  return draw.one(ways)();
}

type Scenery = Omit<World, 'steps'>;

/** What the script so far has come to: the model runs along, so that later steps present mandates that exist. */
interface Script {
  readonly steps: Step[];
  readonly model: ReferenceModel;
}

function randomSteps(draw: Drawing, world: Scenery, { steps, changing }: WorldOptions): Step[] {
  const script: Script = { steps: [], model: new ReferenceModel({ ...world, steps: [] }) };
  while (script.steps.length < steps) {
    const isChange = changing && script.steps.length > 2 && draw.chance(0.12);
    const step = isChange ? randomChange(draw, world, script.steps) : randomAsk(draw, world, script);
    if (step.kind === 'ask') script.model.ask(step, script.steps.length);
    else script.model.change(step);
    script.steps.push(step);
  }
  return script.steps;
}

interface Earlier {
  readonly ask: Ask;
  readonly at: number;
}

/** A mandate that was issued before; ambient ones of this client, mostly. */
function earlier(draw: Drawing, { steps, model }: Script, client: string | undefined): Earlier | undefined {
  const issued = steps.flatMap((ask, at) => (ask.kind === 'ask' && model.hasIssued(at) ? [{ ask, at }] : []));
  const ambient = issued.filter(({ ask }) => ask.subject === undefined);
  const own = ambient.filter(({ ask }) => ask.client === client);
  if (own.length > 0 && draw.chance(0.85)) return draw.one(own);
  const from = draw.chance(0.9) ? ambient : issued;
  return from.length > 0 ? draw.one(from) : undefined;
}

function randomAsk(draw: Drawing, world: Scenery, script: Script): Ask {
  const subject = draw.chance(0.65) ? earlier(draw, script, undefined) : undefined;
  if (subject) return exchangeOf(draw, world, { script, subject });
  if (draw.chance(0.2)) return userMint(draw, world);
  const bound = draw.chance(0.45) ? randomBinding(draw, world) : undefined;
  const client = bound && draw.chance(0.95) ? bound.application : draw.one(applicationNames);
  return {
    kind: 'ask',
    client,
    subject: undefined,
    actor: draw.chance(0.02) ? earlier(draw, script, client)?.at : undefined,
    user: undefined,
    resources: randomResources(draw, resourceNames),
    scopes: randomScopes(draw),
    session: bound?.session,
    edge: bound?.edge,
    ttlSeconds: randomLife(draw),
  };
}

/** A user's id token; nothing may be asked with it, and sometimes something is. */
function userMint(draw: Drawing, world: Scenery): Ask {
  const greedy = draw.chance(0.1);
  return {
    kind: 'ask',
    client: draw.one(applicationNames),
    subject: undefined,
    actor: undefined,
    user: draw.one(world.users),
    resources: greedy ? randomResources(draw, resourceNames) : [],
    scopes: greedy ? randomScopes(draw) : undefined,
    session: undefined,
    edge: undefined,
    ttlSeconds: randomLife(draw),
  };
}

/** Who may use a mandate through an actor. */
function actorsOf(world: Scenery, { user, client }: Ask): readonly string[] {
  return user === undefined || world.actorsForUsers ? mayActOf(world, client) : [];
}

function exchangeOf(draw: Drawing, world: Scenery, { script, subject }: { script: Script; subject: Earlier }): Ask {
  const { ask: above, at } = subject;
  const actors = actorsOf(world, above);
  const acted = draw.chance(actors.length > 0 ? 0.8 : 0.04);
  const usual = acted && actors.length > 0 ? draw.one(actors) : above.client;
  const client = draw.chance(0.94) ? usual : draw.one(applicationNames);
  const bound = draw.chance(0.1) ? randomBinding(draw, world) : undefined;
  return {
    kind: 'ask',
    client,
    subject: at,
    actor: acted ? earlier(draw, script, client)?.at : undefined,
    user: undefined,
    resources: randomResources(draw, draw.chance(0.85) ? above.resources : []),
    scopes: randomScopes(draw),
    session: bound?.session,
    edge: bound?.edge,
    ttlSeconds: randomLife(draw),
  };
}

function randomResources(draw: Drawing, known: readonly string[]): readonly string[] {
  if (draw.chance(0.02)) return [];
  const from = known.length > 0 ? known : resourceNames;
  return draw.chance(0.95) ? draw.some(from, draw.one([0.3, 0.8])) : ['urn:unknown', draw.one(from)];
}

function randomScopes(draw: Drawing): readonly string[] | undefined {
  return draw.chance(0.6) ? undefined : draw.some(scopeNames, draw.one([0.1, 0.4]));
}

function randomLife(draw: Drawing): number | undefined {
  return draw.chance(0.7) ? undefined : draw.one([draw.soonest, 600, 900, 900, 901, 3600, 3601]);
}

function mayActOf(world: Scenery, name: string): readonly string[] {
  return world.applications.find((application) => application.name === name)?.mayAct ?? [];
}

interface RandomBinding {
  readonly session: string | undefined;
  readonly edge: string | undefined;
  readonly application: string;
}

/** A session, mostly with the edge that leads to it; sometimes with another's, or an edge without a session. */
function randomBinding(draw: Drawing, world: Scenery): RandomBinding {
  const session = draw.one(world.sessions);
  const own = world.edges.filter(({ target }) => target === session.name);
  if (own.length > 0 && draw.chance(0.75)) {
    return {
      session: draw.chance(0.97) ? session.name : undefined,
      edge: draw.one(own).name,
      application: session.application,
    };
  }
  const edge = draw.chance(0.1) ? draw.one(world.edges).name : undefined;
  return { session: session.name, edge, application: session.application };
}

function randomChange(draw: Drawing, world: Scenery, script: readonly Step[]): Change {
  const ways: readonly (() => Change)[] = [
    () => ({ kind: 'wait', seconds: draw.between(1, draw.one([5, 60, 400])) }),
    () => ({ kind: 'wait', seconds: draw.between(1, draw.one([5, 60])) }),
    () => ({ kind: 'end_session', session: draw.one(world.sessions).name }),
    () => ({ kind: 'revoke_edge', edge: draw.one(world.edges).name }),
    () => ({ kind: 'revoke_mandate', step: draw.between(0, script.length - 1) }),
    () => ({ kind: 'revoke_application', application: draw.one(applicationNames) }),
    () => ({ kind: 'archive_resource', resource: draw.one(resourceNames) }),
    () => ({ kind: 'shrink_resource', resource: draw.one(resourceNames), scopes: draw.some(scopeNames, 0.5) }),
    () => ({ kind: 'revoke_grant', grant: draw.between(0, Math.max(0, world.grants.length - 1)) }),
  ];
  return draw.one(ways)();
}
