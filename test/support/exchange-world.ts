/** A zone with an owner, an agent and a stranger over the STS's ports in memory, and the exchanges they ask for. */
import { Failure } from '#mesh/failure';
import { parseMandate, type ActorName, type MandateClaims } from '#mesh/mandate';
import { exchangeToken } from '../../services/sts/flows/exchange-token/exchange-token.ts';
import type { TokenGrant, TokenRequest } from '../../services/sts/flows/exchange-token/token-request.ts';
import { createMemoryPorts, type MemoryOptions } from '../../services/sts/outbound/memory/ports-memory.ts';

export type MemoryPorts = ReturnType<typeof createMemoryPorts>;
export interface Client {
  readonly id: string;
  readonly secret: string;
}

const noProof = { dpop: undefined, method: 'POST', path: '/oauth/2/token', certificateThumbprint: undefined } as const;

/** A request for resource `a` by this client's secret, of everything it may have, changed as told. */
export function tokenRequest(memory: MemoryPorts, client: Client, fields: Partial<TokenRequest> = {}): TokenRequest {
  return {
    asked: { requestId: 'r', traceId: undefined },
    source: '192.0.2.1',
    zoneId: memory.zone.id,
    applicationId: client.id,
    credential: { kind: 'secret', secret: client.secret },
    resources: ['a'],
    scopes: undefined,
    subject: undefined,
    actorToken: undefined,
    agentSessionId: undefined,
    delegationEdgeId: undefined,
    ttlSeconds: undefined,
    challenge: undefined,
    proof: noProof,
    ...fields,
  };
}

/** Resources `a` (read, write) and `b` (read); the agent may act for the owner unless told otherwise. */
export function exchangeWorld(options: MemoryOptions & { readonly registered?: readonly ActorName[] } = {}) {
  const memory = createMemoryPorts(options);
  const add = (): Client => {
    const { application, secret } = memory.addApplication();
    return { id: application.id, secret };
  };
  const [owner, agent, stranger] = [add(), add(), add()];
  memory.addResource('a', ['read', 'write']);
  memory.addResource('b', ['read']);
  const register = (mayAct: readonly ActorName[]): void => {
    const application = memory.world.applications.get(owner.id);
    if (application) memory.world.applications.set(owner.id, { ...application, mayAct });
  };
  register(options.registered ?? [{ client_id: agent.id }]);
  const ask = async (client: Client, fields: Partial<TokenRequest> = {}): Promise<TokenGrant> =>
    exchangeToken(memory.ports, tokenRequest(memory, client, fields));
  const ambient = async (client: Client, fields: Partial<TokenRequest> = {}): Promise<string> =>
    (await ask(client, fields)).accessToken;
  return { ...memory, owner, agent, stranger, register, ask, ambient };
}
export type ExchangeWorld = ReturnType<typeof exchangeWorld>;

export const subjectOf = (token: string): Pick<TokenRequest, 'subject'> => ({
  subject: { token, type: 'access_token' },
});

/** The claims of a token that is a mandate. */
export function claimsOf(token: string): MandateClaims {
  const claims = parseMandate(token)?.claims;
  if (!claims) throw new Error('no mandate');
  return claims;
}

/** Reason and private detail of the failure the work ends with. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return `${error.reason} ${error.privateDetail ?? ''}`.trim();
  throw new Error('nothing was refused', { cause: error });
}

/** The mandate signed anew by the zone's key, changed as told: for what no request can make. */
export async function signedWith(world: MemoryPorts, token: string, more: Partial<MandateClaims>): Promise<string> {
  const key = await world.ports.zoneKeys.signingKey(world.zone.id);
  if (!key) throw new Error('no key');
  return world.ports.mandateSigner.sign({ ...claimsOf(token), ...more }, key);
}
