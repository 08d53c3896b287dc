// Bound mandates at the Coordinator: proofs on RPCs and JSON routes, and mandates of children bound to the children's keys.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConnectError } from '@connectrpc/connect';
import { parseMandate, type ConfirmationClaim } from '#mesh/mandate';
import { failureFromConnect } from '#mesh/rpc';
import { holderKey, makeProof, type HolderKey, type ProofParts } from '../../support/proofs.ts';
import { form, grantType, type TestApplication } from '../sts/sts-installation.ts';
import { type Answer, type CoordinatorWorld, lifecycle, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let bound: TestApplication;
let strict: TestApplication;
const key = holderKey();
const service = '/caracal.coordinator.v1.CoordinatorService';

beforeAll(async () => {
  world = await startCoordinatorWorld();
  bound = await world.sts.application(world.zone, { senderConstraint: 'allowed' });
  strict = await world.sts.application(world.zone, { senderConstraint: 'required' });
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const cnfOf = (token: string): ConfirmationClaim | undefined => parseMandate(token)?.claims.cnf;

/** A mandate of the application, bound to `holder`. */
async function boundMandate(application: TestApplication, holder: HolderKey = key): Promise<string> {
  const url = `${world.sts.url}/oauth/2/token`;
  const body = form({
    grant_type: grantType,
    zone_id: world.zone.id,
    application_id: application.id,
    client_secret: application.secret,
    resource: ['calendar', 'mail'],
    scope: `read write ${lifecycle}`,
  });
  let nonce: string | undefined;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const dpop = makeProof({ key: holder, url, iat: nowSeconds(), nonce });
    const reply = await world.sts.post('/oauth/2/token', body, { dpop });
    if (reply.status === 200) return String(reply.body['access_token']);
    nonce = String(reply.headers['dpop-nonce']);
  }
  throw new Error('no bound mandate');
}

/** A proof for a path of the Coordinator. */
function proof(path: string, token: string, parts: Partial<ProofParts> = {}): string {
  return makeProof({ key, url: `${world.url}${path}`, iat: nowSeconds(), accessToken: token, ...parts });
}

/** Calls with a proof, and once more with the nonce when one is asked for. */
async function call(method: string, message: object, as: { token: string; key?: HolderKey }): Promise<Answer> {
  const path = `${service}/${method}`;
  let nonce: string | undefined;
  for (;;) {
    const dpop = proof(path, as.token, { nonce, ...(as.key === undefined ? {} : { key: as.key }) });
    const answer = await world.rpc(method, message, { headers: { authorization: `DPoP ${as.token}`, dpop } });
    if (answer.reason !== 'dpop_nonce_required' || nonce !== undefined) return answer;
    nonce = String(answer.headers['dpop-nonce']);
  }
}

interface Started {
  readonly session: { readonly id: string };
  readonly mandate: { readonly token: string };
}

function startMessage(application: TestApplication, more: object = {}): object {
  return { zoneId: world.zone.id, applicationId: application.id, mandate: true, passLifecycle: true, ...more };
}

describe('a bound mandate', () => {
  it('calls with its proof, over Connect, gRPC and JSON', async () => {
    const token = await boundMandate(bound);
    const { id: zoneId } = world.zone;
    expect((await call('ListSessions', { zoneId }, { token })).status).toBe(200);
    const path = `/zones/${zoneId}/agents`;
    const send = async (nonce?: string): Promise<Answer> => {
      const dpop = proof(path, token, { method: 'GET', nonce });
      return world.json(`GET ${path}?limit=5`, { headers: { authorization: `DPoP ${token}`, dpop } });
    };
    const first = await send();
    const answer = first.status === 200 ? first : await send(String(first.headers['dpop-nonce']));
    expect(answer.status).toBe(200);
    expect(answer.headers['dpop-nonce']).toMatch(/^[\w-]{30}$/);
    const grpcPath = `${service}/ListSessions`;
    const grpcCall = (nonce?: string) => {
      const headers = { authorization: `DPoP ${token}`, dpop: proof(grpcPath, token, { nonce }) };
      return world.grpc().listSessions({ zoneId }, { headers });
    };
    const nonceOf = (error: unknown): string => ConnectError.from(error).metadata.get('dpop-nonce') ?? '';
    const listed = await grpcCall().catch(async (error: unknown) => grpcCall(nonceOf(error)));
    expect(listed.sessions).toEqual([]);
  });

  it('is refused as a bearer, without proof, and with the proof of another key, path or token', async () => {
    const token = await boundMandate(bound);
    const { id: zoneId } = world.zone;
    const ask = async (headers: Record<string, string>): Promise<unknown> => {
      const answer = await world.rpc('ListSessions', { zoneId }, { headers });
      return [answer.status, answer.reason];
    };
    const path = `${service}/ListSessions`;
    const right = proof(path, token);
    expect(await ask({ authorization: `Bearer ${token}`, dpop: right })).toEqual([401, 'invalid_token']);
    const under = { authorization: `DPoP ${token}` };
    const refused = [401, 'dpop_proof_rejected'];
    expect(await ask(under)).toEqual(refused);
    expect(await ask({ ...under, dpop: proof(path, token, { key: holderKey() }) })).toEqual(refused);
    expect(await ask({ ...under, dpop: proof(`${service}/EndSession`, token) })).toEqual(refused);
    expect(await ask({ ...under, dpop: proof(path, 'another') })).toEqual(refused);
    expect(await ask({ ...under, dpop: proof(path, token, { url: `https://evil.example${path}` }) })).toEqual(refused);
    const bearer = await world.mandate();
    const dpop = proof(path, bearer);
    expect(await ask({ authorization: `DPoP ${bearer}`, dpop })).toEqual([401, 'invalid_token']);
  });

  it('tells a refused caller the scheme, and spends each proof once', async () => {
    const token = await boundMandate(bound);
    const { id: zoneId } = world.zone;
    const headers = { authorization: `DPoP ${token}`, dpop: 'junk' };
    const refused = await world.rpc('ListSessions', { zoneId }, { headers });
    expect(refused.headers['www-authenticate']).toMatch(/^DPoP error="invalid_dpop_proof", algs="ES256 /);
    const nonce = String(refused.headers['dpop-nonce']);
    const once = { ...headers, dpop: proof(`${service}/ListSessions`, token, { nonce }) };
    expect((await world.rpc('ListSessions', { zoneId }, { headers: once })).status).toBe(200);
    expect((await world.rpc('ListSessions', { zoneId }, { headers: once })).reason).toBe('dpop_proof_rejected');
    const json = await world.json(`GET /zones/${zoneId}/agents`, { headers });
    expect([json.status, json.headers['www-authenticate']]).toEqual([401, expect.stringMatching(/^DPoP /)]);
    expect(json.headers['dpop-nonce']).toMatch(/^[\w-]{30}$/);
  });
});

describe('the mandate of a session', () => {
  it('is bound to the key its parent names, and works for that key alone', async () => {
    const token = await boundMandate(bound);
    const child = holderKey();
    const answer = await call('StartSession', startMessage(bound, { dpopJkt: child.jkt }), { token });
    expect(answer.status).toBe(200);
    const { session, mandate } = answer.body as unknown as Started;
    expect(cnfOf(mandate.token)).toEqual({ jkt: child.jkt });
    const get = { zoneId: world.zone.id, sessionId: session.id };
    expect((await call('GetSession', get, { token: mandate.token, key: child })).status).toBe(200);
    expect((await call('GetSession', get, { token: mandate.token })).reason).toBe('dpop_proof_rejected');
    const renewed = await call('RenewSessionMandate', { ...get, dpopJkt: child.jkt }, { token });
    expect(cnfOf((renewed.body as unknown as Started).mandate.token)).toEqual({ jkt: child.jkt });
  });

  it('is bound as its caller’s when no key is named: a bound chain never ends in a bearer', async () => {
    const token = await boundMandate(bound);
    const { mandate, session } = (await call('StartSession', startMessage(bound), { token }))
      .body as unknown as Started;
    expect(cnfOf(mandate.token)).toEqual({ jkt: key.jkt });
    const below = startMessage(bound, { parentId: session.id });
    const grandchild = (await call('StartSession', below, { token: mandate.token })).body as unknown as Started;
    expect(cnfOf(grandchild.mandate.token)).toEqual({ jkt: key.jkt });
  });

  it('along a delegation is bound to the target’s key', async () => {
    const token = await boundMandate(bound);
    const parent = (await call('StartSession', startMessage(bound), { token })).body as unknown as Started;
    const target = (
      await call('StartSession', startMessage(bound, { parentId: parent.session.id }), { token: parent.mandate.token })
    ).body as unknown as Started;
    const holder = holderKey();
    const wish = {
      zoneId: world.zone.id,
      sourceSessionId: parent.session.id,
      targetSessionId: target.session.id,
      scopes: ['read'],
      ttlSeconds: 60,
      mandate: true,
      dpopJkt: holder.jkt,
    };
    const created = await call('CreateDelegation', wish, { token: parent.mandate.token });
    expect(created.status).toBe(200);
    expect(cnfOf((created.body as unknown as Started).mandate.token)).toEqual({ jkt: holder.jkt });
  });

  it('of an application that must be bound is bound or refused', async () => {
    const token = await boundMandate(strict);
    const child = holderKey();
    const answer = await call('StartSession', startMessage(strict, { dpopJkt: child.jkt }), { token });
    expect(cnfOf((answer.body as unknown as Started).mandate.token)).toEqual({ jkt: child.jkt });
    // A bearer from before the policy was made strict.
    const lax = await world.sts.application(world.zone);
    const bearer = await world.mandate({}, lax);
    await world.sts.sql("UPDATE api.applications SET sender_constraint = 'required' WHERE id = $1", [lax.id]);
    await world.sts.changed('caracal.resources.invalidate', world.zone.id, { kind: 'application', id: lax.id });
    const start = async (): Promise<string | undefined> =>
      (await world.rpc('StartSession', startMessage(lax), { token: bearer })).reason;
    await expect.poll(start, { timeout: 20_000 }).toBe('invalid_request');
    const named = await world.rpc('StartSession', startMessage(lax, { dpopJkt: child.jkt }), { token: bearer });
    expect(cnfOf((named.body as unknown as Started).mandate.token)).toEqual({ jkt: child.jkt });
  });

  it('is bound over JSON as over RPC', async () => {
    const token = await boundMandate(bound);
    const child = holderKey();
    const path = `/zones/${world.zone.id}/agents`;
    const body = { application_id: bound.id, mandate: true, dpop_jkt: child.jkt };
    const start = async (nonce?: string): Promise<Answer> => {
      const dpop = proof(path, token, { nonce });
      return world.json(`POST ${path}`, { headers: { authorization: `DPoP ${token}`, dpop }, body });
    };
    const first = await start();
    const answer = first.status === 201 ? first : await start(String(first.headers['dpop-nonce']));
    expect(answer.status).toBe(201);
    expect(cnfOf((answer.body as { mandate: { token: string } }).mandate.token)).toEqual({ jkt: child.jkt });
  });

  it('refuses a thumbprint that is none', async () => {
    const token = await boundMandate(bound);
    const answer = await call('StartSession', startMessage(bound, { dpopJkt: 'short' }), { token });
    expect([answer.reason, answer.fields]).toEqual(['invalid_request', ['dpop_jkt']]);
  });
});

describe('a proof that the Coordinator passes on', () => {
  it('is judged again by the STS: a certificate of the Coordinator alone mints nothing', async () => {
    const token = await boundMandate(bound);
    const started = (await call('StartSession', startMessage(bound), { token })).body as unknown as Started;
    const { client } = world.sts.peer('coordinator');
    const path = `${service}/RenewSessionMandate`;
    const mint = async (fields: object): Promise<string> => {
      const wish = { bearer: token, zoneId: world.zone.id, agentSessionId: started.session.id };
      return client.mintSession({ ...wish, ...fields }).then(
        () => 'minted',
        (error: unknown) => failureFromConnect(error).reason,
      );
    };
    expect(await mint({})).toBe('invalid_token');
    const proofFor = (parts: Partial<ProofParts> = {}) => ({
      bearerDpopProof: proof(path, token, parts),
      bearerDpopPath: path,
    });
    expect(await mint(proofFor({ key: holderKey() }))).toBe('invalid_token');
    expect(await mint(proofFor({ accessToken: 'another' }))).toBe('dpop_proof_rejected');
    expect(await mint(proofFor({ url: `${world.sts.url}${path}` }))).toBe('dpop_proof_rejected');
    expect(await mint({ ...proofFor(), bearerDpopPath: '/elsewhere' })).toBe('dpop_proof_rejected');
    expect(await mint(proofFor())).toBe('minted');
    const bearer = await world.mandate();
    const path2 = { bearerDpopProof: proof(path, bearer), bearerDpopPath: path };
    expect(await mint({ bearer, ...path2 })).toBe('invalid_token');
  });
});

describe('while Redis is away', () => {
  it('bearers are served and proofs are not, because nobody can say that they are new', async () => {
    const token = await boundMandate(bound);
    const bearer = await world.mandate();
    const list = { zoneId: world.zone.id };
    expect((await call('ListSessions', list, { token })).status).toBe(200);
    await world.sts.installation.redis.running().stop();
    const refused = await call('ListSessions', list, { token });
    expect([refused.status, refused.reason]).toEqual([503, 'replay_store_unavailable']);
    expect((await world.rpc('ListSessions', list, { token: bearer })).status).toBe(200);
    await world.sts.installation.redis.restart();
    await expect.poll(async () => (await call('ListSessions', list, { token })).status, { timeout: 20_000 }).toBe(200);
  });
});
