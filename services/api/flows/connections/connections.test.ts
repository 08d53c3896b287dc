import { describe, expect, it } from 'vitest';
import { knownId, type ZoneId } from '#mesh/ids';
import { createMemoryApi } from '../../outbound/memory/api-deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { bindFlows } from '../bind-flows.ts';
import { createZone } from '../zones/create.ts';

async function world() {
  const { deps, store } = createMemoryApi();
  const flows = bindFlows(deps);
  const admin = { tokenId: 't', name: 'root', zoneId: undefined, capability: 'all' } as const;
  const facts = { requestId: 'r', traceId: undefined, traceparent: undefined };
  const zone = await createZone(deps, { admin, facts, idempotency: undefined }, { name: 'Zone' });
  const call: ZoneCall = { admin, facts, idempotency: undefined, zoneId: knownId<ZoneId>(zone.entity.id) };
  const provider = (await flows.providers.create(call, { identifier: 'p', kind: 'none' })).entity;
  const told = (kind: string) => store.state().told.filter((each) => each.kind === kind);
  return { flows, call, provider, told };
}

const redirectUri = 'https://admin.test/back';
const refusedFor = (reason: string) => expect.objectContaining({ reason });

describe('a connection', () => {
  it('is told to every replica when it is made and when it ends, with who did it', async () => {
    const { flows, call, provider, told } = await world();
    const { state } = await flows.connections.begin(call, { providerId: provider.id, subject: '', redirectUri });
    const before = told('invalidate').length;
    const connection = await flows.connections.complete(call, { state, code: 'c', issuer: '' });
    expect(told('invalidate').at(-1)?.what).toMatchObject({ kind: 'provider', id: provider.id });
    await flows.connections.revoke(call, connection.id);
    expect(told('invalidate')).toHaveLength(before + 2);
    const actions = told('mutation').map(({ what }) => what['action']);
    expect(actions).toEqual(expect.arrayContaining(['connection.begin', 'connection.complete', 'connection.revoke']));
    await expect(flows.connections.revoke(call, connection.id)).rejects.toEqual(refusedFor('not_found'));
  });

  it('is neither begun with a provider that is not there, nor completed with a state that is not known', async () => {
    const { flows, call, told } = await world();
    const begin = flows.connections.begin(call, { providerId: 'nobody', subject: '', redirectUri });
    await expect(begin).rejects.toEqual(refusedFor('not_found'));
    const complete = flows.connections.complete(call, { state: 'made up', code: 'c', issuer: '' });
    await expect(complete).rejects.toEqual(refusedFor('invalid_request'));
    expect(told('mutation').map(({ what }) => what['action'])).not.toContain('connection.complete');
  });

  it('ends with its provider', async () => {
    const { flows, call, provider } = await world();
    const { state } = await flows.connections.begin(call, { providerId: provider.id, subject: '', redirectUri });
    const { id } = await flows.connections.complete(call, { state, code: 'c', issuer: '' });
    await flows.providers.archive(call, { id: provider.id, ifMatch: undefined });
    expect(await flows.connections.get(call, id)).toMatchObject({ state: 'revoked' });
  });
});
