// A governed call end to end at the Gateway: what is let through, what is refused, with what evidence.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { startBed, until, type Bed } from './gateway-bed.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await startBed({ env: { BINDINGS_RELOAD_MS: '1000' } });
});
afterAll(async () => await bed[Symbol.asyncDispose]());
beforeEach(() => {
  bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url } });
  bed.upstream.handle = (_request, response) => void response.end('from upstream');
  bed.upstream.seen.length = 0;
  bed.sts.questions.length = 0;
});

const secret = 'upstream-secret-4711';

describe('an allowed call', () => {
  test('reaches the upstream with the real credential and comes back', async () => {
    bed.sts.decide = () => ({
      allow: { upstreamUrl: `${bed.upstream.url}/base`, headerName: 'authorization', headerValue: `Bearer ${secret}` },
    });
    const token = bed.sts.mandate(bed.zoneId);
    const requestId = newId();
    const answer = await bed.call({
      token,
      method: 'POST',
      path: '/v1/%7eitems?b=2&a=1',
      headers: { 'x-request-id': requestId, 'content-type': 'text/plain', cookie: 'c=1' },
      body: 'hello',
    });
    expect(answer).toMatchObject({ status: 200, body: 'from upstream' });
    expect(answer.headers['x-request-id']).toBe(requestId);
    const [seen] = bed.upstream.seen;
    expect(seen).toMatchObject({ method: 'POST', url: '/base/v1/%7eitems?b=2&a=1', body: 'hello' });
    expect(seen?.headers).toMatchObject({
      authorization: `Bearer ${secret}`,
      'x-request-id': requestId,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'https',
      'content-length': '5',
      cookie: 'c=1',
    });
    expect(JSON.stringify(seen)).not.toContain(token);
    expect(Object.keys(seen?.headers ?? {}).filter((name) => name.startsWith('x-caracal-'))).toEqual([]);
    const [question] = bed.sts.questions;
    expect(question).toMatchObject({
      method: 'POST',
      path: '/v1/~items',
      resource: 'res',
      zoneId: bed.zoneId,
      requestId,
    });
  });

  test('leaves an outcome joined by its request id', async () => {
    const requestId = newId();
    await bed.call({ headers: { 'x-request-id': requestId } });
    await until(async () => (await bed.events({ request_id: requestId })).length > 0);
    const events = await bed.events({ request_id: requestId });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ event_type: 'gateway.outcome', status: 200, bytes_out: 13, zone_id: bed.zoneId });
  });

  test('under a mount reaches the path behind it', async () => {
    const answer = await bed.call({ resource: null, path: `/r/${bed.zoneSlug}/res/x/y?z=1` });
    expect(answer.status).toBe(200);
    expect(bed.upstream.seen[0]?.url).toBe('/x/y?z=1');
  });

  test('carries the mandate whole once and by digest after', async () => {
    const token = bed.sts.mandate(bed.zoneId);
    for (let n = 0; n < 12; n += 1) expect((await bed.call({ token })).status).toBe(200);
    const kinds = bed.sts.questions.map((question) => question.presented.case);
    expect(kinds.filter((kind) => kind === 'mandate').length).toBeLessThanOrEqual(4);
    expect(kinds).toContain('mandateDigest');
    bed.sts.forgetMandates();
    expect((await bed.call({ token })).status).toBe(200);
  });
});

describe('a refused call', () => {
  const refusals: [string, () => Parameters<Bed['call']>[0], number, string][] = [
    ['no credential', () => ({ token: null }), 401, 'unauthenticated'],
    ['a malformed credential', () => ({ token: 'a.b.c' }), 401, 'invalid_token'],
    ['another zone’s key', () => ({ token: bed.sts.mandate(newId()) }), 401, 'invalid_token'],
    [
      'an expired mandate',
      () => ({ token: bed.sts.mandate(bed.zoneId, { exp: 1000, iat: 900 }) }),
      401,
      'invalid_token',
    ],
    [
      'another issuer',
      () => ({ token: bed.sts.mandate(bed.zoneId, { iss: 'https://evil.test' }) }),
      401,
      'invalid_token',
    ],
    [
      'a mandate for other targets',
      () => ({ token: bed.sts.mandate(bed.zoneId, { target: ['other'] }) }),
      401,
      'invalid_token',
    ],
    [
      'an ambient mandate with another audience',
      () => ({ token: bed.sts.mandate(bed.zoneId, { aud: ['res'] }) }),
      401,
      'invalid_token',
    ],
    [
      'a per_call mandate for the issuer',
      () => ({ token: bed.sts.mandate(bed.zoneId, { use: 'per_call' }) }),
      401,
      'invalid_token',
    ],
    [
      'a mandate made for an upstream',
      () => ({ token: bed.sts.mandate(bed.zoneId, { use: 'per_call', aud: ['res'], via: 'gateway' }) }),
      401,
      'invalid_token',
    ],
    [
      'a mandate bound to a key',
      () => ({ token: bed.sts.mandate(bed.zoneId, { cnf: { jkt: 'a'.repeat(43) } }) }),
      401,
      'invalid_token',
    ],
    [
      'a resource that does not exist',
      () => ({ resource: 'nothing', token: bed.sts.mandate(bed.zoneId, { target: ['nothing'] }) }),
      404,
      'not_found',
    ],
    ['no resource named', () => ({ resource: null, path: '/x' }), 400, 'invalid_request'],
    ['a dot segment', () => ({ path: '/a/%2e%2e/b' }), 400, 'invalid_path'],
    ['TRACE', () => ({ method: 'TRACE' }), 405, 'method_not_allowed'],
  ];
  test.each(refusals)('with %s is refused, recorded, and goes nowhere', async (...[, options, status, reason]) => {
    const requestId = newId();
    const given = options();
    const answer = await bed.call({ ...given, headers: { 'x-request-id': requestId } });
    expect(answer.status).toBe(status);
    const body = JSON.parse(answer.body) as Record<string, unknown>;
    expect(body['requestId']).toBe(requestId);
    expect(bed.upstream.seen).toHaveLength(0);
    expect(bed.sts.questions).toHaveLength(0);
    if (status === 401)
      expect(answer.headers['www-authenticate']).toContain('resource_metadata="https://gateway.test/');
    const [event] = await bed.events({ request_id: requestId });
    expect(event).toMatchObject({ event_type: 'gateway.decision', decision: 'deny', evaluation_status: reason });
  });

  test('a mandate of another zone at a mount is 401', async () => {
    const token = bed.sts.mandate(newId());
    expect((await bed.call({ token, resource: null, path: `/r/${bed.zoneSlug}/res/` })).status).toBe(401);
  });

  test('the STS’s refusal is passed on with its reason, and leaves no second decision', async () => {
    bed.sts.decide = () => ({ refuse: 'INSUFFICIENT_SCOPE', requiredScopes: ['write'] });
    const requestId = newId();
    const answer = await bed.call({ headers: { 'x-request-id': requestId } });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({
      error: 'insufficient_scope',
      error_description: 'the fake says no',
    });
    expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope", scope="write"');
    expect(await bed.events({ request_id: requestId })).toEqual([]);
  });

  test('a repeated deciding header is 400', async () => {
    const answer = await bed.call({ resource: null, headers: { 'x-caracal-resource': ['res', 'res'] } });
    expect(answer.status).toBe(400);
  });

  test('refusals before a mandate is verified are sampled, later ones never', async () => {
    const before = (await bed.events({ evaluation_status: 'unauthenticated' })).length;
    await Promise.all(Array.from({ length: 60 }, async () => await bed.call({ token: null })));
    const after = (await bed.events({ evaluation_status: 'unauthenticated' })).length;
    expect(after - before).toBeLessThan(60);
    const token = bed.sts.mandate(bed.zoneId, { target: ['other'] });
    const requestId = newId();
    await Promise.all(
      Array.from({ length: 30 }, async () => await bed.call({ token, headers: { 'x-request-id': requestId } })),
    );
    expect(await bed.events({ request_id: requestId })).toHaveLength(30);
  });
});

describe('a single-use mandate', () => {
  // Redis remembers since the bed was made, and what is older counts as used: a second ahead is within the leeway.
  const perCall = (): string => {
    const iat = Math.floor(Date.now() / 1000) + 1;
    return bed.sts.mandate(bed.zoneId, { use: 'per_call', aud: ['res'], iat, exp: iat + 300 });
  };

  test('is good for one call and refused after', async () => {
    const token = perCall();
    expect((await bed.call({ token })).status).toBe(200);
    const again = await bed.call({ token });
    expect(again.status).toBe(401);
    expect(JSON.parse(again.body)).toMatchObject({ error: 'invalid_token', details: { reason: 'token_replayed' } });
  });

  test('is let through once however many come at once', async () => {
    const token = perCall();
    const answers = await Promise.all(Array.from({ length: 20 }, async () => await bed.call({ token })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(bed.upstream.seen).toHaveLength(1);
  });

  test('is not spent by a call that was refused before the decision', async () => {
    const token = perCall();
    expect((await bed.call({ token, path: '/a//b' })).status).toBe(400);
    expect((await bed.call({ token })).status).toBe(200);
  });
});

describe('an allow that may be given again', () => {
  const reusable = (more: object = {}): void => {
    bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url, reusable: true, ...more } });
  };
  const asked = async (token: string, path = '/'): Promise<number> => {
    const before = bed.sts.questions.length;
    expect((await bed.call({ token, path })).status).toBe(200);
    return bed.sts.questions.length - before;
  };

  test('is reused for the same question, with evidence of its own', async () => {
    reusable();
    const token = bed.sts.mandate(bed.zoneId);
    await until(async () => (await asked(token, '/warm')) === 0, 'reuse');
    const requestId = newId();
    await bed.call({ token, path: '/warm', headers: { 'x-request-id': requestId } });
    const [decision] = await bed.events({ request_id: requestId, event_type: 'gateway.decision' });
    expect(decision).toMatchObject({ decision: 'allow', reused: true, policy_set_version_id: 'version-1' });
    expect(await asked(token, '/other')).toBe(1);
    expect(await asked(bed.sts.mandate(bed.zoneId), '/warm')).toBe(1);
  });

  test('is asked for again when the policy changed', async () => {
    reusable();
    const token = bed.sts.mandate(bed.zoneId);
    await until(async () => (await asked(token)) === 0, 'reuse');
    await bed.policyChanged('version-2');
    await until(async () => (await asked(token)) === 1, 'a new question');
    // What an STS that is behind says is not kept.
    expect(await asked(token)).toBe(1);
    reusable({ policySetVersionId: 'version-2' });
    expect(await asked(token)).toBe(1);
    expect(await asked(token)).toBe(0);
    await bed.policyChanged('version-1');
  });

  test('does not outlive a revocation', async () => {
    reusable();
    const sid = newId();
    const token = bed.sts.mandate(bed.zoneId, { sid, root_sid: sid });
    expect((await bed.call({ token })).status).toBe(200);
    await bed.revoke([{ kind: 'session', anchor: sid }]);
    await until(async () => (await bed.call({ token })).status === 401, 'refusal');
  });
});

describe('revocation', () => {
  test('refuses what was issued before the anchor, and not what is issued after', async () => {
    const sid = newId();
    const token = bed.sts.mandate(bed.zoneId, { sid, root_sid: sid });
    expect((await bed.call({ token })).status).toBe(200);
    await bed.revoke([{ kind: 'session', anchor: sid }]);
    await until(async () => (await bed.call({ token })).status === 401, 'refusal');
    expect(JSON.parse((await bed.call({ token })).body)).toMatchObject({ details: { reason: 'token_revoked' } });
    const renewed = bed.sts.mandate(bed.zoneId, { sid, root_sid: sid, rev: 1_000_000 });
    expect((await bed.call({ token: renewed })).status).toBe(200);
  });
});

describe('limits and changes', () => {
  test('a resource’s own rate limit is kept for each application', async () => {
    await bed.addResource({ identifier: 'limited', rateLimit: 2 });
    const token = bed.sts.mandate(bed.zoneId, { target: ['limited'] });
    const statuses = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await bed.call({ token, resource: 'limited' })).status);
    expect(statuses).toEqual([200, 200, 429, 429]);
    const other = bed.sts.mandate(bed.zoneId, { target: ['limited'], client_id: 'app-2' });
    expect((await bed.call({ token: other, resource: 'limited' })).status).toBe(200);
  });

  test('a resource made a moment ago is found without waiting for news of it', async () => {
    await bed.addResource({ identifier: 'fresh' });
    const token = bed.sts.mandate(bed.zoneId, { target: ['fresh'] });
    expect((await bed.call({ token, resource: 'fresh' })).status).toBe(200);
  });

  test('a resource that is archived stops being one, by news of it and without', async () => {
    for (const identifier of ['told', 'untold']) {
      const id = await bed.addResource({ identifier });
      const token = bed.sts.mandate(bed.zoneId, { target: [identifier] });
      expect((await bed.call({ token, resource: identifier })).status).toBe(200);
      await bed.sql('UPDATE api.resources SET archived_at = now() WHERE id = $1', [id]);
      if (identifier === 'told') await bed.resourceChanged(id);
      await until(async () => (await bed.call({ token, resource: identifier })).status === 404, 'the end of it');
    }
  });

  test('an odd path reaches only a resource that allows it by name', async () => {
    await bed.addResource({ identifier: 'odd', oddPaths: true });
    const token = bed.sts.mandate(bed.zoneId, { target: ['odd', 'res'] });
    await bed.call({ token, resource: 'odd' });
    expect((await bed.call({ token, resource: 'odd', path: '/a//b;c/../d' })).status).toBe(200);
    expect(bed.upstream.seen.at(-1)?.url).toBe('/a//b;c/../d');
    expect((await bed.call({ token, resource: 'res', path: '/a//b' })).status).toBe(400);
  });
});

describe('own paths', () => {
  test('say how the Gateway is, in words', async () => {
    const health = await bed.call({ token: null, resource: null, path: '/health' });
    const ready = await bed.call({ token: null, resource: null, path: '/ready' });
    expect([health.status, ready.status]).toEqual([200, 200]);
    expect(JSON.parse(ready.body)).toMatchObject({ dependencies: { revocation: 'ok', sts: 'ok', evidence: 'ok' } });
    const metrics = await bed.call({ token: null, resource: null, path: '/metrics' });
    expect(metrics.body).toContain('caracal_gateway_calls_total');
  });

  test('describe a resource to clients that look for its issuer', async () => {
    const path = `/.well-known/oauth-protected-resource/r/${bed.zoneSlug}/res`;
    const answer = await bed.call({ token: null, resource: null, path });
    expect(JSON.parse(answer.body)).toEqual({
      resource: `https://gateway.test/r/${bed.zoneSlug}/res`,
      authorization_servers: [bed.sts.issuer],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'],
      tls_client_certificate_bound_access_tokens: true,
      scopes_supported: ['read'],
      resource_name: 'res',
    });
    const unknown = await bed.call({ token: null, resource: null, path: `${path}x` });
    expect(unknown.status).toBe(404);
  });
});
