// What every Directory and DelegationGraph promises, whatever keeps it.
import { expect, it } from 'vitest';
import type { PathEdge } from '#mesh/authority';
import { newId } from '#mesh/ids';
import type { DelegationGraph } from '../../../services/sts/ports/delegation-graph.ts';
import type { Directory } from '../../../services/sts/ports/directory.ts';

export interface DirectoryWorld extends AsyncDisposable {
  readonly directory: Directory;
  readonly graph: DelegationGraph;
  addZone(): Promise<string>;
  addApplication(zoneId: string): Promise<string>;
  addResource(zoneId: string, identifier: string): Promise<string>;
  addSession(zoneId: string, applicationId: string): Promise<string>;
  addEdge(
    zoneId: string,
    edge: Pick<PathEdge, 'sourceSessionId' | 'targetSessionId' | 'parentEdgeId'>,
    applicationId: string,
  ): Promise<string>;
}

/** Registers the rules; `open` gives an empty world. */
export function directoryContract(open: () => Promise<DirectoryWorld>): void {
  it('knows what is there, by zone, and nothing else', async () => {
    await using world = await open();
    const [zone, other] = [await world.addZone(), await world.addZone()];
    const application = await world.addApplication(zone);
    const resource = await world.addResource(zone, 'resource://a');
    expect(await world.directory.zone(zone)).toMatchObject({ id: zone, recordInputs: true });
    expect(await world.directory.application(zone, application)).toMatchObject({ id: application, zoneId: zone });
    expect(await world.directory.resource(zone, 'resource://a')).toMatchObject({ id: resource, scopes: ['read'] });
    expect(await world.directory.application(other, application)).toBeUndefined();
    expect(await world.directory.resource(other, 'resource://a')).toBeUndefined();
    expect(await world.directory.activePolicySet(other)).toBeUndefined();
    for (const odd of [newId(), 'no id', '', "'; drop", '../x']) {
      expect(await world.directory.zone(odd)).toBeUndefined();
      expect(await world.directory.application(zone, odd)).toBeUndefined();
      expect(await world.directory.application(odd, application)).toBeUndefined();
      expect(await world.directory.resource(zone, odd)).toBeUndefined();
      expect(await world.directory.provider(zone, odd)).toBeUndefined();
      expect(await world.graph.session(zone, odd)).toBeUndefined();
      expect(await world.graph.path(zone, odd)).toBeUndefined();
    }
  });

  it('gives a path root first', async () => {
    await using world = await open();
    const zone = await world.addZone();
    const application = await world.addApplication(zone);
    const [a, b, c] = [
      await world.addSession(zone, application),
      await world.addSession(zone, application),
      await world.addSession(zone, application),
    ];
    expect(await world.graph.session(zone, a)).toMatchObject({ id: a, applicationId: application, state: 'active' });
    const first = await world.addEdge(zone, { sourceSessionId: a, targetSessionId: b }, application);
    const second = await world.addEdge(
      zone,
      { sourceSessionId: b, targetSessionId: c, parentEdgeId: first },
      application,
    );
    const path = await world.graph.path(zone, second);
    expect(path?.edges.map(({ id }) => id)).toEqual([first, second]);
    expect(path?.edges[0]?.parentEdgeId).toBeUndefined();
    expect(await world.graph.epoch(zone)).toBe(0);
  });
}
