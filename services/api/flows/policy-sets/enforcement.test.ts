import { describe, expect, it } from 'vitest';
import { knownId, type ZoneId } from '#mesh/ids';
import { brokenWord, createMemoryApi } from '../../outbound/memory/api-deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { bindFlows } from '../bind-flows.ts';
import { createZone } from '../zones/create.ts';

async function world() {
  const { deps, store, world: switches } = createMemoryApi();
  const flows = bindFlows(deps);
  const admin = { tokenId: 't', name: 'root', zoneId: undefined, capability: 'all' } as const;
  const facts = { requestId: 'r', traceId: undefined, traceparent: undefined };
  const zone = await createZone(deps, { admin, facts, idempotency: undefined }, { name: 'Zone' });
  const call: ZoneCall = { admin, facts, idempotency: undefined, zoneId: knownId<ZoneId>(zone.entity.id) };
  const policy = (await flows.policies.create(call, { name: 'p', content: 'package a' })).entity;
  const newSet = async (name: string) => (await flows.policySets.create(call, { name })).entity.id;
  const policySetId = await newSet('set');
  let n = 0;
  const version = async (of = policySetId) => {
    n += 1;
    const manifest = [{ policyVersionId: policy.version.id }];
    return (await flows.policySets.addVersion(call, { policySetId: of, manifest, params: { n } })).entity.id;
  };
  const roles = async () => {
    const rows = store.state().tables.policySetVersions.rows;
    const idOf = (role: 'active' | 'shadow') => rows.filter((row) => row[role] === true).map(({ id }) => id);
    return { active: idOf('active'), shadow: idOf('shadow') };
  };
  const told = () => store.state().told.map(({ kind }) => kind);
  return { flows, call, switches, policy, policySetId, newSet, version, roles, told, store };
}

const refusedFor = (reason: string) => expect.objectContaining({ reason });

describe('a shadow', () => {
  it('is set with an activation, stays until it is changed, and is never what is enforced', async () => {
    const { flows, call, policySetId, version, roles } = await world();
    const [first, second, third] = [await version(), await version(), await version()];
    const activate = (versionId: string, shadowVersionId?: string | null) =>
      flows.policySets.activate(call, { policySetId, versionId, shadowVersionId });
    expect(await activate(first, second)).toMatchObject({ id: first, shadowVersionId: second });
    expect(await roles()).toEqual({ active: [first], shadow: [second] });
    await activate(third);
    expect(await roles()).toEqual({ active: [third], shadow: [second] });
    // What is activated is watched no longer.
    await activate(second);
    expect(await roles()).toEqual({ active: [second], shadow: [] });
    await activate(second, first);
    await activate(second, null);
    expect(await roles()).toEqual({ active: [second], shadow: [] });
    await expect(activate(first, first)).rejects.toEqual(refusedFor('invalid_request'));
  });

  it('may be of another set, and before anything is active', async () => {
    const { flows, call, newSet, version, roles } = await world();
    const other = await newSet('other');
    const watched = await version(other);
    await flows.policySets.watch(call, { policySetId: other, versionId: watched });
    expect(await roles()).toEqual({ active: [], shadow: [watched] });
    expect(await flows.policySets.get(call, other)).toBeDefined();
  });

  it('is taken away, and once it is gone there is nothing to take away', async () => {
    const { flows, call, policySetId, version, roles, told } = await world();
    const watched = await version();
    const wish = { policySetId, versionId: watched };
    await flows.policySets.watch(call, wish);
    const before = told().length;
    await flows.policySets.watch(call, wish);
    expect(told()).toHaveLength(before);
    await flows.policySets.watch(call, { policySetId, versionId: undefined });
    expect(await roles()).toEqual({ active: [], shadow: [] });
    expect(told().slice(before)).toEqual(['mutation', 'policy']);
    const again = flows.policySets.watch(call, { policySetId, versionId: undefined });
    await expect(again).rejects.toEqual(refusedFor('conflict'));
  });

  it('is never what the zone enforces already, what does not exist, or what has an archived policy', async () => {
    const { flows, call, policySetId, version, policy } = await world();
    const [active, other] = [await version(), await version()];
    await flows.policySets.activate(call, { policySetId, versionId: active });
    const watch = (versionId: string) => flows.policySets.watch(call, { policySetId, versionId });
    await expect(watch(active)).rejects.toEqual(refusedFor('conflict'));
    await expect(watch('nothing')).rejects.toEqual(refusedFor('not_found'));
    await flows.policies.archive(call, policy.id);
    await expect(watch(other)).rejects.toEqual(refusedFor('conflict'));
  });

  it('goes with its set', async () => {
    const { flows, call, newSet, version, roles } = await world();
    const other = await newSet('other');
    await flows.policySets.watch(call, { policySetId: other, versionId: await version(other) });
    await flows.policySets.archive(call, { id: other, ifMatch: undefined });
    expect(await roles()).toEqual({ active: [], shadow: [] });
  });
});

describe('a change of what is enforced', () => {
  it('waits until every live replica has it when asked to, and stands when the wait ends first', async () => {
    const { flows, call, switches, policySetId, version, roles } = await world();
    const [first, second] = [await version(), await version()];
    const activated = await flows.policySets.activate(call, { policySetId, versionId: first, waitMs: 100 });
    expect(activated.propagation).toMatchObject({ propagated: true, points: 2 });
    switches.barrierBlocked = true;
    const late = flows.policySets.activate(call, { policySetId, versionId: second, waitMs: 1 });
    await expect(late).rejects.toEqual(refusedFor('barrier_timeout'));
    expect((await roles()).active).toEqual([second]);
    expect(await flows.policySets.status(call, policySetId)).toMatchObject({ propagated: false, points: 2 });
  });

  it('names what was enforced before, for the ledger', async () => {
    const { flows, call, policySetId, version, store } = await world();
    const [first, second] = [await version(), await version()];
    await flows.policySets.activate(call, { policySetId, versionId: first });
    await flows.policySets.activate(call, { policySetId, versionId: second });
    await flows.policySets.rollBack(call, { policySetId, versionId: undefined });
    await flows.policySets.deactivate(call, { policySetId });
    const activations = store.state().told.filter(({ kind }) => kind === 'activation');
    expect(activations.map(({ what }) => [what['verb'], what['versionId'], what['previousVersionId']])).toEqual([
      ['activate', first, undefined],
      ['activate', second, first],
      ['rollback', first, second],
      ['deactivate', undefined, first],
    ]);
  });

  it('does not begin with a policy that does not compile', async () => {
    const { flows, call, roles } = await world();
    const broken = flows.policies.create(call, { name: 'broken', content: brokenWord });
    await expect(broken).rejects.toEqual(refusedFor('policy_invalid'));
    expect(await roles()).toEqual({ active: [], shadow: [] });
  });
});
