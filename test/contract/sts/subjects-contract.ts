/** What every implementation of Subjects promises, whatever it is made of. */
import { expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import type { JsonObject } from '#mesh/failure';
import type { Subjects } from '../../../services/sts/ports/subjects.ts';

export interface SubjectsWorld extends AsyncDisposable {
  readonly subjects: Subjects;
  addZone(): Promise<string>;
  addIssuer(zoneId: string, issuer: string): Promise<string>;
  archiveIssuer(zoneId: string, id: string): Promise<void>;
  /** To a new application; gives its id. */
  addGrant(
    zoneId: string,
    grant: { subject: string; scopes: readonly string[]; expiresAtMs?: number },
  ): Promise<string>;
  revokeGrants(zoneId: string, applicationId: string, subject: string): Promise<void>;
  addRecord(zoneId: string, subject: string, claims: JsonObject | undefined): Promise<string>;
}

async function inWorld(
  make: () => Promise<SubjectsWorld>,
  work: (world: SubjectsWorld) => Promise<void>,
): Promise<void> {
  await using world = await make();
  await work(world);
}

export function subjectsContract(make: () => Promise<SubjectsWorld>): void {
  it('knows the issuers of a zone, and of no other', async () => {
    await inWorld(make, async ({ subjects, ...world }) => {
      const [one, other] = [await world.addZone(), await world.addZone()];
      const id = await world.addIssuer(one, 'https://login.test');
      expect(await subjects.issuers(one)).toMatchObject([
        {
          id,
          zoneId: one,
          issuer: 'https://login.test',
          algorithms: ['ES256'],
          claims: { groups: 'g' },
          mayAct: 'id_token',
        },
      ]);
      expect(await subjects.issuers(other)).toEqual([]);
      expect(await subjects.issuers('no zone')).toEqual([]);
    });
  });

  it('forgets an issuer that ended, and learns of one that is new, once it is told', async () => {
    await inWorld(make, async ({ subjects, ...world }) => {
      const zoneId = await world.addZone();
      expect(await subjects.issuers(zoneId)).toEqual([]);
      const id = await world.addIssuer(zoneId, 'https://login.test');
      expect(await subjects.issuers(zoneId)).toHaveLength(1);
      await world.archiveIssuer(zoneId, id);
      expect(await subjects.issuers(zoneId)).toEqual([]);
    });
  });

  it('knows what one user lets one application do, whether it has ended or not, until it is revoked', async () => {
    await inWorld(make, async ({ subjects, ...world }) => {
      const [zoneId, other] = [await world.addZone(), await world.addZone()];
      const issuerId = await world.addIssuer(zoneId, 'https://login.test');
      const subject = `user:${issuerId}:alice: of the house`;
      const expiresAtMs = Date.UTC(2020, 0, 1);
      const applicationId = await world.addGrant(zoneId, { subject, scopes: ['read', 'write'], expiresAtMs });
      expect(await subjects.grants(zoneId, applicationId, subject)).toMatchObject([
        { scopes: ['read', 'write'], expiresAtMs },
      ]);
      const second = await world.addGrant(zoneId, { subject, scopes: ['read'] });
      expect(await subjects.grants(zoneId, second, subject)).toMatchObject([
        { scopes: ['read'], expiresAtMs: undefined },
      ]);
      expect(await subjects.grants(zoneId, second, `${subject}s`)).toEqual([]);
      expect(await subjects.grants(other, second, subject)).toEqual([]);
      await world.revokeGrants(zoneId, second, subject);
      expect(await subjects.grants(zoneId, second, subject)).toEqual([]);
      expect(await subjects.grants(zoneId, applicationId, subject)).toHaveLength(1);
    });
  });

  it('knows what policies may know of the user of a record, and tells no record from an empty one', async () => {
    await inWorld(make, async ({ subjects, ...world }) => {
      const [zoneId, other] = [await world.addZone(), await world.addZone()];
      const issuerId = await world.addIssuer(zoneId, 'https://login.test');
      const subject = `user:${issuerId}:alice`;
      const id = await world.addRecord(zoneId, subject, { groups: ['a', 'b'], level: 3 });
      expect(await subjects.claims(zoneId, id)).toEqual({ groups: ['a', 'b'], level: 3 });
      expect(await subjects.claims(zoneId, await world.addRecord(zoneId, subject, undefined))).toEqual({});
      expect(await subjects.claims(zoneId, newId())).toBeUndefined();
      expect(await subjects.claims(other, id)).toBeUndefined();
    });
  });
}
