// The service of the comparison over the wire: a world stored in Postgres as API and Coordinator would store it, asked of a
// real STS at its token endpoint.
import { newId } from '#mesh/ids';
import type { PeopleIssuer } from './people-issuer.ts';
import { claimsOf } from '../../integration/sts/sts-installation.ts';
import type { Reply, StsInstallation, TestApplication, TestZone } from '../../integration/sts/sts-installation.ts';
import type { Observed, Subject } from './compare.ts';
import type { Ask, World } from './world.ts';

/** Denies the pairs of resource and scope that the version's params name; allows everything else. */
const policy = `package caracal.authz

default result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["pairs"], "diagnostics": []}

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["pairs"], "diagnostics": []} if {
	some pair in params.denied
	pair.resource == input.resource.identifier
	pair.scope in input.context.requested_scopes
}
`;

interface Stored {
  readonly sts: StsInstallation;
  readonly issuer: PeopleIssuer;
  readonly zone: TestZone;
  readonly applications: ReadonlyMap<string, TestApplication>;
  readonly sessions: ReadonlyMap<string, string>;
  readonly edges: ReadonlyMap<string, string>;
}

async function storeApplications(sts: StsInstallation, zone: TestZone, world: World) {
  const applications = new Map<string, TestApplication>();
  for (const { name } of world.applications) applications.set(name, await sts.application(zone));
  for (const { name, mayAct, expiresIn } of world.applications) {
    const actors = mayAct.map((actor) => ({ client_id: applications.get(actor)?.id }));
    await sts.sql(
      `UPDATE api.applications SET may_act = $2, expires_at = clock_timestamp() + $3::int * interval '1 second' WHERE id = $1`,
      [applications.get(name)?.id, JSON.stringify(actors), expiresIn ?? null],
    );
  }
  return applications;
}

async function storeSessions(sts: StsInstallation, zone: TestZone, { world, idOf }: { world: World; idOf: NameToId }) {
  const sessions = new Map(world.sessions.map(({ name }) => [name, newId()]));
  for (const session of world.sessions) {
    await sts.sql(
      `INSERT INTO coordinator.agent_sessions (id, zone_id, application_id, root_id, kind, state, depth, scopes, resources,
                                               client_id, sid, expires_at, ended_at)
       VALUES ($1, $2, $3::text, $1, 'instance', $4::text, 0, $5, $6, $3::text, $7, clock_timestamp() + $8::int * interval '1 second',
               CASE WHEN $4::text = 'terminated' THEN clock_timestamp() END)`,
      [
        sessions.get(session.name),
        zone.id,
        idOf(session.application),
        session.state,
        session.scopes,
        session.resources,
        newId(),
        session.expiresIn,
      ],
    );
  }
  return sessions;
}

type NameToId = (name: string) => string | undefined;

async function storeEdges(
  sts: StsInstallation,
  zone: TestZone,
  { world, idOf, sessions }: { world: World; idOf: NameToId; sessions: ReadonlyMap<string, string> },
) {
  const edges = new Map(world.edges.map(({ name }) => [name, newId()]));
  for (const edge of world.edges) {
    await sts.sql(
      `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id, issuer_application_id,
                                                 receiver_application_id, parent_edge_id, scopes, resources, max_hops,
                                                 ttl_seconds, state, expires_at, revoked_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text, clock_timestamp() + $13::int * interval '1 second',
               CASE WHEN $12::text = 'revoked' THEN clock_timestamp() END)`,
      [
        edges.get(edge.name),
        zone.id,
        sessions.get(edge.source),
        sessions.get(edge.target),
        idOf(edge.issuer),
        idOf(edge.receiver),
        edge.parent === undefined ? null : edges.get(edge.parent),
        edge.scopes,
        edge.resources,
        edge.maxHops,
        edge.ttlSeconds ?? null,
        edge.state,
        edge.expiresIn,
      ],
    );
  }
  return edges;
}

async function storeUsers(
  sts: StsInstallation,
  zone: TestZone,
  about: { world: World; idOf: NameToId; issuer: PeopleIssuer; resources: ReadonlyMap<string, string> },
): Promise<void> {
  const { world, issuer } = about;
  const issuerId = newId();
  await sts.sql(
    `INSERT INTO api.subject_issuers (id, zone_id, name, issuer, jwks_url, audience, algorithms, may_act)
     VALUES ($1, $2, 'people', $3, $4, $5, '{ES256}', $6)`,
    [issuerId, zone.id, issuer.url, issuer.jwksUrl, issuer.audience, world.actorsForUsers ? 'application' : 'none'],
  );
  for (const grant of world.grants) {
    await sts.sql(
      `INSERT INTO api.grants (id, zone_id, application_id, subject_issuer_id, subject, resource_id, scopes, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8::int * interval '1 second')`,
      [
        newId(),
        zone.id,
        about.idOf(grant.application),
        issuerId,
        `user:${issuerId}:${grant.user}`,
        about.resources.get(grant.resource),
        grant.scopes,
        grant.expiresIn ?? null,
      ],
    );
  }
}

/** Stores the world in a zone of its own. */
async function store(sts: StsInstallation, issuer: PeopleIssuer, world: World): Promise<Stored> {
  const zone = await sts.zone();
  const applications = await storeApplications(sts, zone, world);
  const idOf: NameToId = (name) => applications.get(name)?.id;
  const resources = new Map<string, string>();
  for (const resource of world.resources) resources.set(resource.identifier, await sts.resource(zone, resource));
  await storeUsers(sts, zone, { world, idOf, issuer, resources });
  await sts.policy(zone, [policy], { denied: world.denied.map((pair) => ({ ...pair })) });
  const sessions = await storeSessions(sts, zone, { world, idOf });
  const edges = await storeEdges(sts, zone, { world, idOf, sessions });
  return { sts, issuer, zone, applications, sessions, edges };
}

const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const idToken = 'urn:ietf:params:oauth:token-type:id_token';

/** The world's own names where they have ids of their own; anything else as it is. */
function formOf(ask: Ask, { sessions, edges, issuer }: Stored, issued: ReadonlyMap<number, string>) {
  const mandate = ask.subject === undefined ? undefined : issued.get(ask.subject);
  const subject = ask.user === undefined ? mandate : issuer.idToken(ask.user);
  const actor = ask.actor === undefined ? undefined : issued.get(ask.actor);
  return {
    resource: ask.resources,
    scope: ask.scopes?.join(' '),
    subject_token: subject,
    subject_token_type: subject && (ask.user === undefined ? accessToken : idToken),
    actor_token: actor,
    actor_token_type: actor === undefined ? undefined : accessToken,
    agent_session_id: ask.session === undefined ? undefined : sessions.get(ask.session),
    delegation_edge_id: ask.edge === undefined ? undefined : edges.get(ask.edge),
    ttl_seconds: ask.ttlSeconds?.toString(),
  };
}

function observe(reply: Reply): Observed {
  if (reply.status !== 200) {
    const because = `${reply.status} ${JSON.stringify(reply.body)}`;
    return { kind: reply.status < 500 && reply.status !== 429 ? 'refused' : 'fault', because };
  }
  const { scope, target, exp, iat } = claimsOf(reply);
  const denied = (reply.body['denied_resources'] ?? []) as readonly { readonly resource: string }[];
  return {
    kind: 'granted',
    scopes: scope?.split(' ') ?? [],
    targets: target ?? [],
    expiresIn: exp - iat,
    denied: denied.map(({ resource }) => resource),
  };
}

/** Stores the world and asks a real STS about it; worlds over the wire do not change. */
export async function createWireSubject(
  { sts, issuer }: { readonly sts: StsInstallation; readonly issuer: PeopleIssuer },
  world: World,
): Promise<Subject> {
  const stored = await store(sts, issuer, world);
  const issued = new Map<number, string>();
  return {
    async ask(ask, step) {
      const application = stored.applications.get(ask.client);
      if (!application) throw new Error(`no application ${ask.client}`);
      const reply = await sts.token(application, formOf(ask, stored, issued));
      const observed = observe(reply);
      if (observed.kind === 'granted') issued.set(step, String(reply.body['access_token']));
      return observed;
    },
    change: ({ kind }) => {
      throw new Error(`a world over the wire does not change: ${kind}`);
    },
  };
}
