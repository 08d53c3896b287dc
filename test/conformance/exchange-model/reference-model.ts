// The rules of exchange read a second time, from the design alone and as plainly as they can be written: what each ask of a
// world must be granted, or that it must be refused. It shares no code with the service, so that one mistake in both is
// unlikely.
import type { Ask, Change, EdgeFacts, GrantFacts, ResourceFacts, SessionFacts, World } from './world.ts';

export type Outcome =
  | {
      readonly kind: 'granted';
      readonly scopes: readonly string[];
      readonly targets: readonly string[];
      readonly expiresIn: number;
      readonly denied: readonly string[];
    }
  | { readonly kind: 'refused'; readonly because: string }
  /** The mandate it was to present was never issued. */
  | { readonly kind: 'left_out' };

/** What a mandate was issued with, as far as a later exchange depends on it. */
interface Issued {
  readonly use: 'ambient' | 'per_call';
  readonly client: string;
  readonly subject: string;
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  readonly targets: readonly string[];
  readonly expiresAt: number;
  readonly session: string | undefined;
  readonly edge: string | undefined;
  readonly mayAct: readonly string[];
  /** The step that opened the line of mandates this one belongs to. */
  readonly line: number;
  readonly issuedAfter: number;
  readonly applications: readonly string[];
}

type Issuing = Pick<Issued, 'use' | 'subject' | 'user' | 'line' | 'mayAct' | 'session' | 'edge'> & {
  readonly above: Issued | undefined;
  readonly bound: Bound | undefined;
  /** Seconds after the start at which everything above it has ended. */
  readonly until: number;
};

interface Revoked {
  readonly line?: number;
  readonly application?: string;
}

class Refusal extends Error {}

function refuse(because: string): never {
  throw new Refusal(because);
}

const caps = { ambient: 3600, per_call: 900 } as const;
const defaultLife = 900;

interface Bound {
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  /** Seconds after the start. */
  readonly until: number;
  readonly applications: readonly string[];
}

export class ReferenceModel {
  readonly #world: World;
  readonly #sessions: Map<string, SessionFacts>;
  readonly #edges: Map<string, EdgeFacts>;
  readonly #resources: Map<string, ResourceFacts>;
  readonly #grants: (GrantFacts | undefined)[];
  readonly #issued = new Map<number, Issued>();
  readonly #revoked: Revoked[] = [];
  #now = 0;

  constructor(world: World) {
    this.#world = world;
    this.#sessions = new Map(world.sessions.map((session) => [session.name, session]));
    this.#edges = new Map(world.edges.map((edge) => [edge.name, edge]));
    this.#resources = new Map(world.resources.map((resource) => [resource.identifier, resource]));
    this.#grants = [...world.grants];
  }

  /** Whether the step's mandate exists, so that a later step may present it. */
  hasIssued(step: number): boolean {
    return this.#issued.has(step);
  }

  change(change: Change): void {
    switch (change.kind) {
      case 'wait':
        this.#now += change.seconds;
        return;
      case 'end_session':
        return this.#replace(this.#sessions, change.session, { state: 'terminated' });
      case 'revoke_edge':
        return this.#replace(this.#edges, change.edge, { state: 'revoked' });
      case 'revoke_mandate': {
        const issued = this.#issued.get(change.step);
        if (issued) this.#revoked.push({ line: issued.line });
        return;
      }
      case 'revoke_application':
        this.#revoked.push({ application: change.application });
        return;
      case 'archive_resource':
        this.#resources.delete(change.resource);
        return;
      case 'shrink_resource':
        return this.#replace(this.#resources, change.resource, { scopes: change.scopes });
      case 'revoke_grant':
        this.#grants[change.grant] = undefined;
    }
  }

  #replace<T>(map: Map<string, T>, name: string, fields: Partial<T>): void {
    const found = map.get(name);
    if (found) map.set(name, { ...found, ...fields });
  }

  ask(ask: Ask, step: number): Outcome {
    const presented = [ask.subject, ask.actor].filter((at) => at !== undefined);
    if (presented.some((at) => !this.#issued.has(at))) return { kind: 'left_out' };
    try {
      return this.#decide(ask, step);
    } catch (error) {
      if (error instanceof Refusal) return { kind: 'refused', because: error.message };
      throw error;
    }
  }

  #decide(ask: Ask, step: number): Outcome {
    const applicationEnds = this.#liveApplication(ask.client) ?? refuse('the client is gone');
    if (ask.user !== undefined) return this.#userMandate(ask, { step, applicationEnds });
    if (ask.subject === undefined) {
      if (ask.actor !== undefined) refuse('an actor without a subject');
      const bound = this.#bound(ask.client, ask.session, ask.edge);
      return this.#issue(ask, step, {
        ...{ use: 'ambient', subject: ask.client, user: undefined, line: step, mayAct: this.#mayAct(ask.client) },
        ...{ above: undefined, bound, session: ask.session, edge: ask.edge },
        until: Math.min(bound?.until ?? Infinity, applicationEnds),
      });
    }
    const above = this.#subject(ask, ask.subject);
    const actorEnds = this.#actor(ask, above);
    // An actor uses the subject's authority: it stays in the hands of the application it was issued to.
    const holderEnds = this.#liveApplication(above.client) ?? refuse('the client of the subject is gone');
    const session = inherited(above.session, ask.session);
    const edge = inherited(above.edge, ask.edge);
    const bound = this.#bound(above.client, session, edge);
    return this.#issue(ask, step, {
      ...{ use: 'per_call', subject: above.subject, user: above.user, line: above.line, mayAct: [] },
      ...{ above, bound, session, edge },
      until: Math.min(above.expiresAt, bound?.until ?? Infinity, applicationEnds, holderEnds, actorEnds),
    });
  }

  #issue(ask: Ask, step: number, { until, above, bound, ...line }: Issuing): Outcome {
    // A life that cannot be is refused before anything else is looked at.
    this.#expiry(ask, line.use, until);
    const { denied, grantsEnd, ...granted } = this.#grantResources(ask, { subject: above, bound });
    const expiresAt = this.#expiry(ask, line.use, Math.min(until, grantsEnd));
    const applications = [ask.client, ...(bound?.applications ?? [])];
    const issuedAfter = this.#revoked.length;
    this.#issued.set(step, { ...line, ...granted, client: ask.client, expiresAt, issuedAfter, applications });
    return { kind: 'granted', ...granted, denied, expiresIn: expiresAt - this.#now };
  }

  #mayAct(name: string): readonly string[] {
    return this.#world.applications.find((application) => application.name === name)?.mayAct ?? [];
  }

  /** When it expires, or undefined when it is not there any more. */
  #liveApplication(name: string): number | undefined {
    const application = this.#world.applications.find((each) => each.name === name);
    const ends = application?.expiresIn ?? Infinity;
    return application && ends > this.#now ? ends : undefined;
  }

  /** A user's mandate says who it is for and carries nothing by itself. */
  #userMandate(ask: Ask, { step, applicationEnds }: { step: number; applicationEnds: number }): Outcome {
    if (ask.resources.length > 0 || ask.scopes !== undefined) refuse('a user is given no scope and no resource');
    const mayAct = this.#world.actorsForUsers ? this.#mayAct(ask.client) : [];
    const expiresAt = this.#expiry(ask, 'ambient', applicationEnds);
    this.#issued.set(step, {
      use: 'ambient',
      client: ask.client,
      subject: `user:${ask.user ?? ''}`,
      user: ask.user,
      scopes: [],
      targets: [],
      expiresAt,
      session: undefined,
      edge: undefined,
      mayAct,
      line: step,
      issuedAfter: this.#revoked.length,
      applications: [ask.client],
    });
    return { kind: 'granted', scopes: [], targets: [], expiresIn: expiresAt - this.#now, denied: [] };
  }

  /** An ambient mandate that still lives and that nothing has revoked since it was issued. */
  #presented(at: number): Issued {
    const issued = this.#issued.get(at) ?? refuse('never issued');
    if (issued.use !== 'ambient') refuse('a per_call mandate gives no other');
    if (issued.expiresAt <= this.#now) refuse('it has expired');
    const since = this.#revoked.slice(issued.issuedAfter);
    const isHit = ({ line, application }: Revoked): boolean =>
      (line !== undefined && line === issued.line) ||
      (application !== undefined && issued.applications.includes(application));
    if (since.some(isHit)) refuse('it was revoked');
    return issued;
  }

  #subject(ask: Ask, at: number): Issued {
    const subject = this.#presented(at);
    // Bound to its client; or an actor stands in, which the next rule looks at.
    if (subject.client !== ask.client && ask.actor === undefined) refuse('issued to another client');
    return subject;
  }

  /** Seconds after the start at which the actor's own authority ends. */
  #actor(ask: Ask, subject: Issued): number {
    const { mayAct } = subject;
    if (ask.actor === undefined) return mayAct.length > 0 ? refuse('it needs an actor') : Infinity;
    const actor = this.#presented(ask.actor);
    if (actor.client !== ask.client) refuse('the actor is another client');
    if (actor.subject === subject.subject) refuse('the actor is the subject');
    if (!mayAct.includes(actor.client)) refuse('the actor is not allowed');
    // What the actor's own mandate is bound to must still stand; it lends nothing.
    const bound = this.#bound(actor.client, actor.session, actor.edge);
    return Math.min(actor.expiresAt, bound?.until ?? Infinity);
  }

  /** What session and path allow, or undefined for a mandate of no session. */
  #bound(client: string, sessionName: string | undefined, edgeName: string | undefined): Bound | undefined {
    if (sessionName === undefined) return edgeName === undefined ? undefined : refuse('an edge without a session');
    const session = this.#liveSession(sessionName, client);
    if (edgeName === undefined) {
      const { scopes, resources, expiresIn: until } = session;
      return { scopes, resources, until, applications: [] };
    }
    return this.#path(edgeName, session, client);
  }

  #liveSession(name: string, application: string): SessionFacts {
    const session = this.#sessions.get(name) ?? refuse('no such session');
    if (session.application !== application) refuse('a session of another application');
    if (session.state !== 'active' || session.expiresIn <= this.#now) refuse('a session that is over');
    return session;
  }

  /** Root first. */
  #edgesTo(name: string): readonly EdgeFacts[] {
    const edge = this.#edges.get(name) ?? refuse('no such edge');
    return edge.parent === undefined ? [edge] : [...this.#edgesTo(edge.parent), edge];
  }

  #path(edgeName: string, session: SessionFacts, client: string): Bound {
    const edges = this.#edgesTo(edgeName);
    const [root, last] = [edges[0] as EdgeFacts, edges.at(-1) as EdgeFacts];
    if (last.target !== session.name || last.receiver !== client) refuse('the edge of another session');
    const ends = edges.map((edge, at) => this.#checkEdge(edge, edges.slice(0, at)));
    const holds = this.#liveSession(root.source, root.issuer);
    const bounding = edges.filter(({ resources }) => resources.length > 0);
    return {
      scopes: edges.reduce((sum, { scopes }) => both(sum, scopes), holds.scopes),
      resources: bounding.reduce((sum, { resources }) => both(sum, resources), holds.resources),
      until: Math.min(session.expiresIn, ...ends),
      applications: edges.flatMap(({ issuer, receiver }) => [issuer, receiver]),
    };
  }

  /** Every rule of one edge under those above it; seconds after the start at which it carries nothing any more. */
  #checkEdge(edge: EdgeFacts, above: readonly EdgeFacts[]): number {
    if (edge.state !== 'active' || edge.expiresIn <= this.#now) refuse('an edge that is over');
    const source = this.#liveSession(edge.source, edge.issuer);
    const issuerEnds = this.#liveApplication(edge.issuer) ?? refuse('an application of the path is gone');
    const parent = above.at(-1);
    if (parent) this.#checkLink(edge, parent);
    const listed = above.findLast(({ resources }) => resources.length > 0)?.resources;
    if (listed && !within(edge.resources, listed)) refuse('an edge widens resources');
    return Math.min(edge.expiresIn, this.#now + (edge.ttlSeconds ?? Infinity), source.expiresIn, issuerEnds);
  }

  #checkLink(edge: EdgeFacts, parent: EdgeFacts): void {
    if (edge.source !== parent.target || edge.issuer !== parent.receiver) refuse('the path is broken');
    if (edge.maxHops >= parent.maxHops) refuse('hops do not fall');
    if (!within(edge.scopes, parent.scopes)) refuse('an edge widens scopes');
  }

  #expiry(ask: Ask, use: keyof typeof caps, until: number): number {
    const asked = ask.ttlSeconds ?? defaultLife;
    if (asked > caps[use]) refuse('a life above the cap');
    const expiresAt = Math.min(this.#now + asked, until);
    return expiresAt > this.#now ? expiresAt : refuse('no life is left');
  }

  #grantResources(ask: Ask, from: { subject: Issued | undefined; bound: Bound | undefined }) {
    if (ask.resources.length === 0) refuse('no resource');
    const allowed = new Map(ask.resources.map((name) => [name, this.#allowed(name, from)]));
    const open = [...allowed.values()].filter((scopes) => scopes.length > 0);
    const common = open.reduce<readonly string[] | undefined>(
      (sum, scopes) => (sum ? both(sum, scopes) : scopes),
      undefined,
    );
    const wanted = ask.scopes ?? common ?? [];
    const isGranted = (name: string): boolean =>
      wanted.length > 0 && within(wanted, allowed.get(name) ?? []) && !this.#isDenied(name, wanted);
    const targets = ask.resources.filter(isGranted);
    if (targets.length === 0) refuse('nothing can be granted');
    const denied = ask.resources.filter((name) => !targets.includes(name));
    const { subject } = from;
    const ends =
      subject?.user === undefined ? [] : targets.map((name) => this.#granted(subject, name)?.expiresIn ?? Infinity);
    return { scopes: [...wanted].toSorted(), targets, denied, grantsEnd: Math.min(Infinity, ...ends) };
  }

  #allowed(
    name: string,
    { subject, bound }: { subject: Issued | undefined; bound: Bound | undefined },
  ): readonly string[] {
    let allowed = this.#resources.get(name)?.scopes ?? [];
    if (subject?.user !== undefined) allowed = both(allowed, this.#granted(subject, name)?.scopes ?? []);
    else if (subject) allowed = subject.targets.includes(name) ? both(allowed, subject.scopes) : [];
    if (bound) allowed = bound.resources.includes(name) ? both(allowed, bound.scopes) : [];
    return allowed;
  }

  /** The user's live grant on a resource to the application that holds the mandate. */
  #granted({ user, client }: Issued, resource: string): GrantFacts | undefined {
    return this.#grants.find(
      (grant) =>
        grant !== undefined &&
        grant.user === user &&
        grant.application === client &&
        grant.resource === resource &&
        (grant.expiresIn ?? Infinity) > this.#now,
    );
  }

  #isDenied(resource: string, scopes: readonly string[]): boolean {
    return this.#world.denied.some((pair) => pair.resource === resource && scopes.includes(pair.scope));
  }
}

/** What a subject is bound to stays; another cannot be asked for. */
function inherited(own: string | undefined, asked: string | undefined): string | undefined {
  if (own !== undefined && asked !== undefined && own !== asked) refuse('bound to something else');
  return own ?? asked;
}

function both(a: readonly string[], b: readonly string[]): readonly string[] {
  return a.filter((each) => b.includes(each));
}

function within(part: readonly string[], whole: readonly string[]): boolean {
  return part.every((each) => whole.includes(each));
}
