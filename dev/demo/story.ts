/**
 * The story of a governed agent, told against processes that are really running: allowed, denied with the policy's reason,
 * narrowed for a child, revoked within milliseconds, and proven from the ledger. Each step holds what it sees to what is
 * promised.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, Reply } from './client.ts';
import { insist, type Telling } from './telling.ts';
import type { Upstream } from './upstream.ts';
import { createWorld, type Places, type World } from './world.ts';

export interface StoryOptions {
  telling: Telling;
  client: Client;
  places: Places;
  adminToken: string;
  upstream: Upstream;
  apiKey: string;
}

export interface StoryResult {
  world: World;
  events: number;
  /** A request id whose whole story the ledger tells. */
  requestId: string;
}

interface Told extends StoryOptions {
  world: World;
}

const lifecycle = 'agent:lifecycle';

export async function tellStory(options: StoryOptions): Promise<StoryResult> {
  const { telling } = options;
  const world = await telling.step('An administrator makes a zone with one protected upstream', async () => {
    const made = await createWorld(options, { url: options.upstream.url, apiKey: options.apiKey });
    return { says: `zone ${made.zoneSlug}`, gives: made };
  });
  const told: Told = { ...options, world };
  const application = await authenticate(told);
  const parent = await startParent(told, application);
  const requestId = await callAllowed(told, parent.mandate);
  await denyScope(told, parent.mandate);
  const child = await delegateToChild(told, parent);
  await useDelegation(told, child.mandate);
  await revokeParent(told, { application, parent, child });
  const events = await proveLedger(told, requestId);
  return { world, events, requestId };
}

interface Session {
  id: string;
  mandate: string;
}

const object = (value: unknown): Record<string, unknown> => value as Record<string, unknown>;

async function coordinator(told: Told, method: string, call: { bearer: string; json: object }): Promise<Reply> {
  const { client, places } = told;
  const url = `${places.coordinator}/caracal.coordinator.v1.CoordinatorService/${method}`;
  return await client.send(url, call);
}

async function gateway(told: Told, path: string, call: Parameters<Client['send']>[1] = {}): Promise<Reply> {
  const { client, places, world } = told;
  return await client.send(`${places.gateway}/r/${world.zoneSlug}/${world.resourceSlug}${path}`, call);
}

async function token(told: Told, form: Record<string, string>): Promise<Reply> {
  const { client, places, world } = told;
  return await client.send(`${places.sts}/oauth/2/token`, {
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      zone_id: world.zoneId,
      application_id: world.applicationId,
      client_secret: world.clientSecret,
      resource: world.resource,
      ...form,
    },
  });
}

async function authenticate(told: Told): Promise<string> {
  return await told.telling.step('The application authenticates; policy decides what it may hold', async () => {
    // The policy was activated a moment ago; every STS applies it within its staleness limit.
    for (let attempt = 1; ; attempt += 1) {
      const reply = await token(told, { scope: `reports:read reports:write ${lifecycle}` });
      if (reply.status !== 200 && attempt < 50) {
        await sleep(100);
        continue;
      }
      const body = object(reply.body);
      insist(reply.status === 200 && typeof body.access_token === 'string', 'a mandate', reply);
      const says = `mandate for ${String(body.scope)}`;
      return { says, gives: String(body.access_token), milliseconds: reply.milliseconds };
    }
  });
}

async function startParent(told: Told, application: string): Promise<Session> {
  return await told.telling.step('An agent session starts and gets a mandate of its own', async () => {
    const reply = await coordinator(told, 'StartSession', {
      bearer: application,
      json: {
        zoneId: told.world.zoneId,
        applicationId: told.world.applicationId,
        mandate: true,
        passLifecycle: true,
      },
    });
    const session = object(object(reply.body).session);
    const mandate = object(object(reply.body).mandate);
    insist(reply.status === 200 && typeof mandate.token === 'string', 'a session with its mandate', reply);
    const gives = { id: String(session.id), mandate: mandate.token };
    return { says: `session …${gives.id.slice(-8)}`, gives, milliseconds: reply.milliseconds };
  });
}

async function callAllowed(told: Told, mandate: string): Promise<string> {
  const { telling, upstream, apiKey } = told;
  return await telling.step('It calls the upstream, which sees a key the agent never had', async () => {
    const reply = await gateway(told, '/reports', { bearer: mandate });
    insist(reply.status === 200, 'the reports', reply);
    const seen = upstream.seen.at(-1);
    insist(seen?.headers['x-api-key'] === apiKey, 'the injected key at the upstream', Object.keys(seen?.headers ?? {}));
    insist(seen.headers.authorization === undefined, 'no mandate at the upstream', seen.method);
    insist(!JSON.stringify(reply).includes(apiKey), 'no key in the answer', reply.status);
    return {
      says: '200, the credential was injected',
      gives: String(reply.headers['x-request-id']),
      milliseconds: reply.milliseconds,
    };
  });
}

async function denyScope(told: Told, mandate: string): Promise<void> {
  const { telling, upstream } = told;
  await telling.step('It asks for a scope it lacks and hears the policy’s reason', async () => {
    const reply = await token(told, { scope: 'reports:delete' });
    insist(reply.status === 403, 'a refusal', reply);
    const reason = /reports are deleted by people[a-z, ]*/.exec(JSON.stringify(reply.body))?.[0];
    insist(reason !== undefined, 'the reason of the policy', reply.body);
    return { says: `${reply.status} “${reason}”`, gives: undefined, milliseconds: reply.milliseconds };
  });
  await telling.step('It tries all the same; the call never reaches the upstream', async () => {
    const before = upstream.seen.length;
    const reply = await gateway(told, '/reports/1', { method: 'DELETE', bearer: mandate });
    insist(reply.status === 403 && upstream.seen.length === before, 'a refusal before the upstream', reply);
    return {
      says: `${reply.status} ${String(object(reply.body).error)}`,
      gives: undefined,
      milliseconds: reply.milliseconds,
    };
  });
}

async function delegateToChild(told: Told, parent: Session): Promise<Session> {
  const { telling, world } = told;
  const childId = await telling.step('It starts a child agent, which has no mandate yet', async () => {
    const reply = await coordinator(told, 'StartSession', {
      bearer: parent.mandate,
      json: { zoneId: world.zoneId, applicationId: world.applicationId, parentId: parent.id },
    });
    const session = object(object(reply.body).session);
    insist(reply.status === 200 && session.parentId === parent.id, 'a child session', reply);
    return { says: `depth ${String(session.depth)}`, gives: String(session.id), milliseconds: reply.milliseconds };
  });
  return await telling.step('It delegates reading, and only reading, for a minute', async () => {
    const reply = await coordinator(told, 'CreateDelegation', {
      bearer: parent.mandate,
      json: {
        zoneId: world.zoneId,
        sourceSessionId: parent.id,
        targetSessionId: childId,
        scopes: ['reports:read'],
        ttlSeconds: 60,
        mandate: true,
      },
    });
    const mandate = object(object(reply.body).mandate);
    insist(reply.status === 200 && typeof mandate.token === 'string', 'an edge with a mandate', reply);
    insist(JSON.stringify(mandate.scopes) === '["reports:read"]', 'a mandate to read and no more', mandate.scopes);
    return {
      says: 'reports:read',
      gives: { id: childId, mandate: mandate.token },
      milliseconds: reply.milliseconds,
    };
  });
}

async function useDelegation(told: Told, mandate: string): Promise<void> {
  await told.telling.step('The child reads', async () => {
    const reply = await gateway(told, '/reports', { bearer: mandate });
    insist(reply.status === 200, 'the reports', reply);
    return { says: '200', gives: undefined, milliseconds: reply.milliseconds };
  });
  await told.telling.step('The child tries to write, which its parent could', async () => {
    const before = told.upstream.seen.length;
    const reply = await gateway(told, '/reports', { bearer: mandate, json: { report: 'Q4' } });
    insist(reply.status === 403 && told.upstream.seen.length === before, 'a refusal before the upstream', reply);
    return {
      says: `${reply.status} ${String(object(reply.body).error)}`,
      gives: undefined,
      milliseconds: reply.milliseconds,
    };
  });
}

async function revokeParent(
  told: Told,
  { application, parent, child }: { application: string; parent: Session; child: Session },
): Promise<void> {
  const { telling, client, places, world } = told;
  const stream = await telling.step('The child opens a stream that stays open', async () => {
    const url = `${places.gateway}/r/${world.zoneSlug}/${world.resourceSlug}/reports/live`;
    const opened = await client.open(url, { bearer: child.mandate });
    const first = await opened.chunks.next();
    insist(opened.status === 200 && first.done !== true, 'a first event', opened.status);
    return { says: 'first event is here', gives: opened.chunks };
  });
  const cut = untilEnd(stream);
  await telling.step('One call ends the parent and returns when every Gateway refuses', async () => {
    const reply = await coordinator(told, 'EndSession', {
      bearer: application,
      json: { zoneId: world.zoneId, sessionId: parent.id, reason: 'demo', waitApplied: true },
    });
    const body = object(reply.body);
    insist(reply.status === 200 && object(body.barrier).applied === true, 'an end that is applied everywhere', reply);
    insist(JSON.stringify(body.endedSessionIds).includes(child.id), 'the child in the cascade', body);
    return {
      says: `${String(object(body.barrier).points)} enforcement points`,
      gives: undefined,
      milliseconds: reply.milliseconds,
    };
  });
  const revokedAt = performance.now();
  await telling.step('The child’s next call', async () => {
    const reply = await gateway(told, '/reports', { bearer: child.mandate });
    insist(reply.status === 401, 'a refusal', reply);
    return {
      says: `${reply.status} ${String(object(reply.body).error)}`,
      gives: undefined,
      milliseconds: reply.milliseconds,
    };
  });
  await telling.step('The open stream', async () => {
    const ended = await Promise.race([cut, sleep(10_000, undefined, { ref: false })]);
    insist(ended !== undefined, 'an end of the stream', 'still open after 10 s');
    return { says: 'cut', gives: undefined, milliseconds: Math.max(0, ended - revokedAt) };
  });
}

/** When the stream ended, however it did. */
async function untilEnd(chunks: AsyncIterator<Uint8Array>): Promise<number> {
  try {
    while ((await chunks.next()).done !== true);
  } catch {
    // A cut stream ends in an error at the reader; that it ended is what counts.
  }
  return performance.now();
}

async function proveLedger(told: Told, requestId: string): Promise<number> {
  const { telling, client, places, world, adminToken } = told;
  const zone = `${places.api}/v1/zones/${world.zoneId}`;
  await telling.step('The ledger tells the story of the first call', async () => {
    for (let attempt = 1; ; attempt += 1) {
      const reply = await client.send(`${zone}/audit/by-request/${requestId}`, { bearer: adminToken });
      const types = JSON.stringify(reply.body);
      const isWhole = types.includes('gateway.decision') && types.includes('gateway.outcome');
      if (!isWhole && attempt < 100) {
        await sleep(100);
        continue;
      }
      insist(reply.status === 200 && isWhole, 'decision and outcome', reply);
      return { says: 'decision and outcome are there', gives: undefined, milliseconds: reply.milliseconds };
    }
  });
  return await telling.step('The whole chain verifies', async () => {
    const reply = await client.send(`${zone}/audit/verify`, { bearer: adminToken });
    const body = object(reply.body);
    insist(reply.status === 200 && Number(body.checked) > 0, 'entries that were checked', reply);
    insist(Array.isArray(body.findings) && body.findings.length === 0, 'no findings', body.findings);
    return {
      says: `${String(body.checked)} entries, no findings`,
      gives: Number(body.checked),
      milliseconds: reply.milliseconds,
    };
  });
}
