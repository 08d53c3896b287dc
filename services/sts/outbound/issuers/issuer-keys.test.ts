// How much of what issuers publish is kept, whatever they publish.
import { describe, expect, it } from 'vitest';
import { ManualClock } from '#mesh/time';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import { createIssuerKeys } from './issuer-keys.ts';

/** Just below what is read of one issuer. */
const padding = 'x'.repeat(250 * 1024);

function bench(text: string) {
  const clock = new ManualClock(0);
  let reads = 0;
  const egress = {
    request: async () => {
      reads += 1;
      return { kind: 'answered', status: 200, mediaType: 'application/json', text } as const;
    },
  };
  const keys = createIssuerKeys({ egress, clock });
  const issuer = (n: number): SubjectIssuer => ({
    ...{ id: `i${n}`, zoneId: 'z', issuer: `https://i${n}.test`, jwksUrl: `https://i${n}.test/keys` },
    ...{ audience: 'a', algorithms: ['ES256'], claims: {}, mayAct: 'none', version: 1 },
  });
  return { clock, reads: () => reads, ask: async (n: number) => keys.get(issuer(n)) };
}

describe('the keys of issuers', () => {
  it('are kept for all issuers as long as they are of usual size', async () => {
    const { ask, reads } = bench('{"keys": []}');
    for (let n = 0; n < 500; n += 1) await ask(n);
    await ask(0);
    expect(reads()).toBe(500);
  });

  it('give way where issuers publish as much as is read', async () => {
    const { clock, ask, reads } = bench(JSON.stringify({ keys: [{ kty: 'EC', padding }] }));
    for (let n = 0; n < 200; n += 1) await ask(n);
    await clock.advance(5000);
    await ask(0);
    expect(reads()).toBe(201);
    await ask(199);
    expect(reads()).toBe(201);
  });
});
