// The service of the comparison without a wire: the STS's own exchange flow over its ports in memory, a world put into them.
import { tokenRequest } from '#test/exchange-world';
import { parseMandate } from '#mesh/mandate';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { asFailure } from '#mesh/failure';
import { exchangeToken } from '../../../services/sts/flows/exchange-token/exchange-token.ts';
import type { TokenRequest } from '../../../services/sts/flows/exchange-token/token-request.ts';
import { createMemoryPorts } from '../../../services/sts/outbound/memory/ports-memory.ts';
import { policyAnswer } from '../../../services/sts/outbound/memory/judging-memory.ts';
import type { Observed, Subject } from './compare.ts';
import type { Ask, Change, World } from './world.ts';

type Memory = ReturnType<typeof createMemoryPorts>;

interface Presented {
  readonly token: string;
  readonly sid: string;
}

function judgeOf({ denied }: World): (input: JsonObject) => JsonValue {
  return (input) => {
    const { resource, context } = input as {
      resource: { identifier: string };
      context: { requested_scopes: string[] };
    };
    const isDenied = denied.some(
      (pair) => pair.resource === resource.identifier && context.requested_scopes.includes(pair.scope),
    );
    return policyAnswer(isDenied ? 'deny' : 'allow');
  };
}

/** Puts the world into the ports; names become ids where the service has ids. */
function fill(memory: Memory, world: World) {
  const startMs = memory.ports.clock.now();
  const at = (seconds: number): number => startMs + seconds * 1000;
  const applications = new Map<string, { id: string; secret: string }>();
  for (const { name } of world.applications) {
    const { application, secret } = memory.addApplication();
    applications.set(name, { id: application.id, secret });
  }
  const idOf = (name: string): string => applications.get(name)?.id ?? name;
  for (const { name, mayAct, expiresIn } of world.applications) {
    const id = idOf(name);
    const stored = memory.world.applications.get(id);
    if (stored) {
      const expiresAtMs = expiresIn === undefined ? undefined : at(expiresIn);
      const actors = mayAct.map((actor) => ({ client_id: idOf(actor) }));
      memory.world.applications.set(id, { ...stored, expiresAtMs, mayAct: actors });
    }
  }
  for (const { identifier, scopes } of world.resources) memory.addResource(identifier, scopes);
  for (const session of world.sessions) {
    const { name: id, application, expiresIn, ...held } = session;
    const fixed = { parentId: undefined, kind: 'instance', depth: 0, passLifecycle: false, sid: `record-of-${id}` };
    const place = { id, zoneId: memory.zone.id, applicationId: idOf(application), expiresAtMs: at(expiresIn) };
    memory.world.sessions.set(id, { ...held, ...fixed, ...place });
  }
  for (const edge of world.edges) {
    memory.world.edges.set(edge.name, {
      id: edge.name,
      parentEdgeId: edge.parent,
      sourceSessionId: edge.source,
      targetSessionId: edge.target,
      issuerApplicationId: idOf(edge.issuer),
      receiverApplicationId: idOf(edge.receiver),
      scopes: edge.scopes,
      resources: edge.resources,
      maxHops: edge.maxHops,
      ttlSeconds: edge.ttlSeconds,
      expiresAtMs: at(edge.expiresIn),
      state: edge.state,
    });
  }
  fillUsers(memory, world, { idOf, at });
  return { applications, idOf };
}

const issuerId = '01900000-0000-7000-8000-0000000000ff';
const userIssuer = 'https://people.test';

function fillUsers(
  { ports, world: stored, zone }: Memory,
  world: World,
  { idOf, at }: { readonly idOf: (name: string) => string; readonly at: (seconds: number) => number },
): void {
  const { subjects } = ports;
  subjects.issuersOf.set(issuerId, {
    ...{ id: issuerId, zoneId: zone.id, issuer: userIssuer, jwksUrl: `${userIssuer}/keys`, audience: 'caracal' },
    ...{ algorithms: ['ES256'], claims: {}, mayAct: world.actorsForUsers ? 'application' : 'none', version: 1 },
  });
  for (const { application, user, resource, scopes, expiresIn } of world.grants) {
    const key = `${idOf(application)} user:${issuerId}:${user}`;
    const resourceId = stored.resources.get(resource)?.id ?? '';
    const expiresAtMs = expiresIn === undefined ? undefined : at(expiresIn);
    subjects.grantsOf.set(key, [...(subjects.grantsOf.get(key) ?? []), { resourceId, scopes, expiresAtMs }]);
  }
}

/** An id token of this moment; the ports in memory take any signature for genuine. */
function idTokenOf(user: string, { nowMs, jti }: { readonly nowMs: number; readonly jti: number }): string {
  const iat = nowMs / 1000;
  const payload = { iss: userIssuer, aud: 'caracal', sub: user, iat, exp: iat + 7200, jti: String(jti) };
  return `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.sig`;
}

/** The STS's exchange with this world behind it. */
export function createFlowSubject(world: World): Subject {
  const memory = createMemoryPorts({ judge: judgeOf(world), mintLimit: Number.MAX_SAFE_INTEGER });
  const { applications, idOf } = fill(memory, world);
  const issued = new Map<number, Presented>();
  const subjectOf = (ask: Ask, step: number): TokenRequest['subject'] => {
    if (ask.user !== undefined) {
      return { token: idTokenOf(ask.user, { nowMs: memory.ports.clock.now(), jti: step }), type: 'id_token' };
    }
    const token = ask.subject === undefined ? undefined : issued.get(ask.subject)?.token;
    return token === undefined ? undefined : { token, type: 'access_token' };
  };
  const request = (ask: Ask, step: number): TokenRequest =>
    tokenRequest(
      memory,
      { id: idOf(ask.client), secret: applications.get(ask.client)?.secret ?? '' },
      {
        resources: ask.resources,
        scopes: ask.scopes,
        subject: subjectOf(ask, step),
        actorToken: ask.actor === undefined ? undefined : issued.get(ask.actor)?.token,
        agentSessionId: ask.session,
        delegationEdgeId: ask.edge,
        ttlSeconds: ask.ttlSeconds,
      },
    );
  return {
    async ask(ask, step): Promise<Observed> {
      try {
        const grant = await exchangeToken(memory.ports, request(ask, step));
        const claims = parseMandate(grant.accessToken)?.claims;
        issued.set(step, { token: grant.accessToken, sid: claims?.sid ?? '' });
        const denied = grant.denied.map(({ resource }) => resource);
        return {
          kind: 'granted',
          scopes: grant.scopes,
          targets: grant.targets,
          expiresIn: grant.expiresInSeconds,
          denied,
        };
      } catch (error) {
        const failure = asFailure(error);
        const because = `${failure.reason} ${failure.privateDetail ?? ''}`;
        return failure.entry.httpStatus < 500
          ? { kind: 'refused', because }
          : { kind: 'fault', because: `${because} ${String(failure.cause)}` };
      }
    },
    change: async (change) => applyChange(memory, change, { issued, idOf, grants: world.grants }),
  };
}

interface Names {
  readonly issued: ReadonlyMap<number, Presented>;
  readonly idOf: (name: string) => string;
  readonly grants: World['grants'];
}

function put<T>(map: Map<string, T>, key: string, fields: Partial<T>): void {
  const found = map.get(key);
  if (found) map.set(key, { ...found, ...fields });
}

async function applyChange({ world, ports, zone }: Memory, change: Change, names: Names): Promise<void> {
  switch (change.kind) {
    case 'wait':
      return ports.clock.advance(change.seconds * 1000);
    case 'end_session':
      return put(world.sessions, change.session, { state: 'terminated' });
    case 'revoke_edge':
      return put(world.edges, change.edge, { state: 'revoked' });
    case 'revoke_mandate': {
      const mandate = names.issued.get(change.step);
      if (mandate) ports.revocations.revoke(zone.id, { kind: 'session', id: mandate.sid });
      return undefined;
    }
    case 'revoke_application':
      return ports.revocations.revoke(zone.id, { kind: 'application', id: names.idOf(change.application) });
    case 'archive_resource':
      world.resources.delete(change.resource);
      return undefined;
    case 'shrink_resource':
      return put(world.resources, change.resource, { scopes: change.scopes });
    case 'revoke_grant':
      return revokeGrant({ world, ports }, change.grant, names);
  }
}

function revokeGrant({ world, ports }: Pick<Memory, 'world' | 'ports'>, at: number, { grants, idOf }: Names): void {
  const grant = grants[at];
  const key = grant && `${idOf(grant.application)} user:${issuerId}:${grant.user}`;
  const resourceId = grant && world.resources.get(grant.resource)?.id;
  const { grantsOf } = ports.subjects;
  if (key !== undefined)
    grantsOf.set(
      key,
      (grantsOf.get(key) ?? []).filter((each) => each.resourceId !== resourceId),
    );
}
