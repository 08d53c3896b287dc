// What the STS keeps of users is gone with the anchor that ends it, whatever the stream of the API's changes says.
import { describe, expect, it } from 'vitest';
import { ManualClock } from '#mesh/time';
import type { Grant } from '../../domain/subject-issuer.ts';
import { createCachedSubjects } from './subjects-cached.ts';

const subject = 'user:i:ada of x';

function bench() {
  const truth = new Map<string, readonly Grant[]>();
  let reads = 0;
  const cached = createCachedSubjects({
    reader: {
      issuers: async () => [],
      claims: async () => ({}),
      async grants(_zoneId, applicationId, of) {
        reads += 1;
        return truth.get(`${applicationId} ${of}`) ?? [];
      },
    },
    // The stream is complete as far as it goes: the change has not come by it yet.
    isFresh: () => true,
    maxStalenessMs: 5000,
    clock: new ManualClock(0),
  });
  const grant = (scope: string): readonly Grant[] => [{ resourceId: 'r', scopes: [scope], expiresAtMs: undefined }];
  for (const application of ['a', 'b']) truth.set(`${application} ${subject}`, grant(application));
  truth.set('a user:i:bob', grant('bob'));
  return { truth, cached, reads: () => reads };
}

describe('grants that are held', () => {
  it('are read anew, for every application, once an anchor ends what was made from them', async () => {
    const { truth, cached } = bench();
    for (const application of ['a', 'b']) expect(await cached.grants('z', application, subject)).toHaveLength(1);
    truth.clear();
    cached.anchorApplied('z', 'subject', subject);
    for (const application of ['a', 'b']) expect(await cached.grants('z', application, subject)).toEqual([]);
  });

  it('of other users and zones stay', async () => {
    const { cached, reads } = bench();
    const look = async () => {
      await cached.grants('z', 'a', 'user:i:bob');
      await cached.grants('y', 'a', subject);
    };
    await look();
    cached.anchorApplied('z', 'subject', subject);
    cached.anchorApplied('z', 'application', 'a');
    await look();
    expect(reads()).toBe(2);
    cached.anchorApplied('z', 'zone', 'z');
    await look();
    expect(reads()).toBe(3);
  });
});
