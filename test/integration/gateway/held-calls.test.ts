// Calls that have to be approved first, at the Gateway: what the caller is told, what it brings back, and where its secret
// never goes.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '#mesh/canonical';
import { startBed, until, type Bed } from './gateway-bed.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await startBed();
});
afterAll(async () => await bed[Symbol.asyncDispose]());
beforeEach(() => {
  bed.upstream.handle = (_request, response) => void response.end('from upstream');
  bed.upstream.seen.length = 0;
  bed.sts.questions.length = 0;
});

const id = '01900000-0000-7000-8000-00000000abcd';
const secret = 'a-secret-that-is-shown-once-and-never-again-1';
const expiresAtMs = Date.UTC(2030, 0, 1);
const shown = { 'x-caracal-challenge-id': id, 'x-caracal-challenge-secret': secret };

/** Holds every call that brings no approval. */
function holdAll(): void {
  const challenge = { id, type: 'human_approval', secret, expiresAtMs: BigInt(expiresAtMs) };
  bed.sts.decide = ({ challengeId }) =>
    challengeId === id
      ? { allow: { upstreamUrl: bed.upstream.url, reusable: true } }
      : { refuse: 'INTERACTION_REQUIRED', challenge };
}

describe('a call that is held', () => {
  test('is told the challenge as the token endpoint tells it, and reaches nothing', async () => {
    holdAll();
    const answer = await bed.call({ method: 'POST', path: '/pay' });
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body)).toEqual({
      error: 'interaction_required',
      error_description: 'the fake says no',
      challenge_id: id,
      challenge_type: 'human_approval',
      challenge_secret: secret,
      challenge_expires_at: new Date(expiresAtMs).toISOString(),
      requestId: expect.any(String),
    });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="interaction_required", resource_metadata="/);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(bed.upstream.seen).toEqual([]);
  });

  test('is not told a secret that the caller has already', async () => {
    const challenge = { id, type: 'mfa', secret: '', expiresAtMs: BigInt(expiresAtMs) };
    bed.sts.decide = () => ({ refuse: 'INTERACTION_REQUIRED', challenge });
    const answer = await bed.call({ headers: shown });
    expect(JSON.parse(answer.body)).not.toHaveProperty('challenge_secret');
  });
});

describe('a call that brings its approval', () => {
  test('hands it to the STS alone, with the digest of its query', async () => {
    holdAll();
    const answer = await bed.call({
      method: 'POST',
      path: '/pay?to=ann&sum=3',
      headers: { ...shown, X_Caracal_Challenge_Id: 'x' },
    });
    expect(answer).toMatchObject({ status: 200, body: 'from upstream' });
    expect(bed.sts.questions.at(-1)).toMatchObject({
      challengeId: id,
      challengeSecret: secret,
      argumentsDigest: sha256Hex('to=ann&sum=3'),
      path: '/pay',
    });
    const [seen] = bed.upstream.seen;
    expect(seen?.url).toBe('/pay?to=ann&sum=3');
    expect(JSON.stringify(seen)).not.toContain(secret);
    expect(JSON.stringify(seen).toLowerCase()).not.toContain('challenge');
    const events = JSON.stringify(await bed.events({}));
    expect(events).not.toContain(secret);
    expect(bed.logs.join('')).not.toContain(secret);
  });

  test('is asked about each time, whatever the STS says of its verdict', async () => {
    holdAll();
    const token = bed.sts.mandate(bed.zoneId);
    for (let time = 0; time < 3; time += 1) {
      expect((await bed.call({ token, headers: shown })).status).toBe(200);
    }
    expect(bed.sts.questions).toHaveLength(3);
    expect((await bed.call({ token })).status).toBe(401);
  });

  test('is not answered from memory of a call without one', async () => {
    bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url, reusable: true } });
    const token = bed.sts.mandate(bed.zoneId);
    await bed.call({ token });
    const asked = bed.sts.questions.length;
    await bed.call({ token, headers: shown });
    expect(bed.sts.questions).toHaveLength(asked + 1);
  });

  test.each<[string, Record<string, string | string[]>]>([
    ['the id alone', { 'x-caracal-challenge-id': id }],
    ['the secret alone', { 'x-caracal-challenge-secret': secret }],
    ['an empty id', { ...shown, 'x-caracal-challenge-id': '' }],
    ['an endless secret', { ...shown, 'x-caracal-challenge-secret': 'x'.repeat(129) }],
    ['a secret of odd characters', { ...shown, 'x-caracal-challenge-secret': 'a b' }],
    ['two ids', { ...shown, 'x-caracal-challenge-id': [id, id] }],
  ])('is refused before anything is asked with %s', async (_what, headers) => {
    holdAll();
    const answer = await bed.call({ headers });
    expect(answer.status).toBe(400);
    expect(answer.body).not.toContain(secret);
    expect(bed.sts.questions).toEqual([]);
  });

  test('is asked about again with its approval while its answer is open', async () => {
    holdAll();
    bed.upstream.handle = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
    };
    const { response, destroy } = await bed.open({ path: '/live?x=1', headers: shown });
    expect(response.statusCode).toBe(200);
    response.resume();
    await bed.policyChanged('version-1');
    await until(() => bed.sts.questions.some(({ again }) => again), 'the second question');
    expect(bed.sts.questions.find(({ again }) => again)).toMatchObject({
      challengeId: id,
      challengeSecret: secret,
      argumentsDigest: sha256Hex('x=1'),
    });
    destroy();
  });
});
