// Actors at a running STS: an application whose mandates others use by its registration, the actors it names and those it
// does not, and what ends what an actor holds.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAuthorize } from './authorize-client.ts';
import type { AuthorizeClient } from './authorize-client.ts';
import { allowAll, claimsOf, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const calendar = 'resource://calendar';

let sts: StsInstallation;
let gateway: AuthorizeClient;
let zone: TestZone;
let agent: TestApplication;
let stranger: TestApplication;
let owner: TestApplication;

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  agent = await sts.application(zone);
  stranger = await sts.application(zone);
  owner = await sts.application(zone, { mayAct: [agent.id] });
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
  await sts.policy(zone, [allowAll]);
  gateway = await openAuthorize(sts);
}, 120_000);
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await sts?.[Symbol.asyncDispose]();
});

async function ambient(application: TestApplication, fields: FormFields = {}): Promise<string> {
  return String((await sts.token(application, { resource: calendar, ...fields })).body['access_token']);
}

const acting = (subject: string, actor: string): FormFields => ({
  subject_token: subject,
  subject_token_type: accessTokenType,
  actor_token: actor,
  actor_token_type: accessTokenType,
  resource: calendar,
});

function expectRefusal(reply: Reply, status: number, error: string): void {
  expect({ status: reply.status, error: reply.body['error'] }).toEqual({ status, error });
  expect(reply.body['access_token']).toBeUndefined();
}

describe('an actor', () => {
  it('that the registration names uses the mandate, and the Gateway may use what it gets', async () => {
    const subject = await ambient(owner, { scope: 'calendar:read' });
    const reply = await sts.token(agent, acting(subject, await ambient(agent)));
    expect(reply).toMatchObject({ status: 200, body: { scope: 'calendar:read', target_resources: [calendar] } });
    expect(claimsOf(reply)).toMatchObject({
      ...{ sub: owner.id, client_id: agent.id, use: 'per_call', act: { sub: agent.id, client_id: agent.id } },
      delegation_chain: [{ app: owner.id }],
    });
    const mandate = String(reply.body['access_token']);
    const outcome = await gateway.ask({ zoneId: zone.id, mandate, resource: calendar });
    expect(outcome).toMatchObject({ kind: 'allowed', value: { scopes: ['calendar:read'] } });
  });

  it('that is the wrong one is refused where the subject has may_act', async () => {
    const subject = await ambient(owner);
    expectRefusal(await sts.token(stranger, acting(subject, await ambient(stranger))), 401, 'invalid_token');
  });

  it('that is missing is refused where the subject has may_act, whoever asks', async () => {
    const { actor_token: _token, actor_token_type: _type, ...alone } = acting(await ambient(owner), '');
    for (const application of [owner, agent, stranger]) {
      expectRefusal(await sts.token(application, alone), 401, 'invalid_token');
    }
  });

  it('that nobody permitted is refused, and never taken for the client it may be', async () => {
    const own = await ambient(agent);
    expectRefusal(await sts.token(agent, acting(own, await ambient(agent))), 401, 'invalid_token');
    expectRefusal(await sts.token(agent, acting(await ambient(stranger), own)), 401, 'invalid_token');
  });

  it('cannot be another client\u2019s mandate, nor one that is for a call', async () => {
    const subject = await ambient(owner);
    const own = await ambient(agent);
    expectRefusal(await sts.token(stranger, acting(subject, own)), 401, 'invalid_token');
    const perCall = String((await sts.token(agent, { subject_token: own, resource: calendar })).body['access_token']);
    expectRefusal(await sts.token(agent, acting(subject, perCall)), 401, 'invalid_token');
    expectRefusal(await sts.token(agent, acting(subject, `${own.slice(0, -4)}AAAA`)), 401, 'invalid_token');
    expectRefusal(await sts.token(agent, acting(`${subject.slice(0, -4)}AAAA`, own)), 401, 'invalid_token');
  });

  it('names its type, and no permission in the request counts', async () => {
    const fields = acting(await ambient(owner), await ambient(agent));
    expectRefusal(await sts.token(agent, { ...fields, actor_token_type: undefined }), 400, 'invalid_request');
    expectRefusal(await sts.token(agent, { ...fields, actor_token: undefined }), 400, 'invalid_request');
    const may = JSON.stringify({ client_id: stranger.id });
    const forced = { ...acting(await ambient(owner), await ambient(stranger)), may_act: may };
    expectRefusal(await sts.token(stranger, forced), 401, 'invalid_token');
  });

  it.each(['session', 'application', 'subject'] as const)('loses what it got with its own %s', async (kind) => {
    const own = await sts.application(zone);
    const lender = await sts.application(zone, { mayAct: [own.id] });
    const actor = await sts.token(own, { resource: calendar });
    const subject = await ambient(lender);
    const reply = await sts.token(own, acting(subject, String(actor.body['access_token'])));
    const mandate = String(reply.body['access_token']);
    const claims = claimsOf(actor);
    const anchor = { session: claims.sid, application: own.id, subject: claims.sub }[kind];
    await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [
      zone.id,
      JSON.stringify([{ kind, anchor }]),
      'test',
    ]);
    const outcome = async (): Promise<string> =>
      (await gateway.ask({ zoneId: zone.id, mandate, resource: calendar })).kind;
    await expect.poll(outcome).toBe('refused');
    expectRefusal(await sts.token(own, acting(subject, String(actor.body['access_token']))), 401, 'invalid_token');
  });

  it('loses what it got when the application whose authority it is ends', async () => {
    const lender = await sts.application(zone, { mayAct: [agent.id] });
    const reply = await sts.token(agent, acting(await ambient(lender), await ambient(agent)));
    const mandate = String(reply.body['access_token']);
    const anchors = JSON.stringify([{ kind: 'application', anchor: lender.id }]);
    await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [zone.id, anchors, 'test']);
    const outcome = async (): Promise<string> =>
      (await gateway.ask({ zoneId: zone.id, mandate, resource: calendar })).kind;
    await expect.poll(outcome).toBe('refused');
  });
});
