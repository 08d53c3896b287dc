import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation } from '../../ports/policy-engine.ts';
import { createOpaClient } from './opa-client.ts';
import { createPolicyEngineOpa } from './policy-engine-opa.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

/** Far more than a loaded machine needs for a question over loopback. */
const timeoutMs = 4000;
const version: PolicySetVersion = {
  zoneId: 'zone',
  policySetId: 's',
  versionId: 'v',
  digest: 'd'.repeat(64),
  params: {},
  policies: [{ policyVersionId: 'p', name: 'p', content: 'package caracal.authz\n' }],
};
const inOrder: SyntaxChecker = {
  check: async () => ({ kind: 'checked', problems: [] }),
  [Symbol.asyncDispose]: async () => undefined,
};

type Behaviour = (request: IncomingMessage, response: ServerResponse, sentinel: string) => void;

interface FakeOpa {
  readonly url: string;
  asked: number;
  behave: Behaviour;
}

let sentinel = '';

/** Answers as OPA does with the set loaded. */
const right: Behaviour = (_request, response, mark) =>
  void response.end(JSON.stringify({ result: { sentinel: mark, results: { 0: 'fine' } } }));
const hang: Behaviour = () => undefined;

async function fakeOpa(behave: Behaviour): Promise<FakeOpa> {
  const fake: FakeOpa = { url: '', asked: 0, behave };
  const server = createServer((request, response) => {
    fake.asked += 1;
    fake.behave(request, response, sentinel);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  cleanup.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return Object.assign(fake, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function engineOver(...fakes: readonly { readonly url: string }[]) {
  const clients = fakes.map(({ url }) => cleanup.use(createOpaClient({ url, token: undefined })));
  const engine = createPolicyEngineOpa({ clients, syntax: inOrder, maxLoadedSets: 4, timeoutMs });
  sentinel = engine.setOf(version).sentinel;
  let asked = 0;
  return async (): Promise<Evaluation> => {
    asked += 1;
    return engine.evaluate({ version, inputJson: `{"n":${asked}}`, inputDigest: `${asked}` });
  };
}

const answered = { kind: 'answered', results: { 0: 'fine' }, remembered: false };

describe('several OPA servers', () => {
  it('hand a zone on while its own is away, and take it back', async () => {
    const fakes = [await fakeOpa(right), await fakeOpa(right)];
    const ask = engineOver(...fakes);
    expect(await ask()).toEqual(answered);
    const own = fakes.find(({ asked }) => asked > 0) as FakeOpa;
    own.behave = (request) => void request.socket.destroy();
    for (let n = 0; n < 5; n += 1) expect(await ask()).toEqual(answered);
    // The first question finds out, and the next ones do not try it for a while.
    expect(own.asked).toBe(2);
    own.behave = right;
    await expect
      .poll(
        async () => {
          await ask();
          return own.asked;
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(2);
  });

  it('answer within the limit while the zone’s own says nothing', async () => {
    const fakes = [await fakeOpa(hang), await fakeOpa(hang)];
    const ask = engineOver(...fakes);
    await ask();
    const own = fakes.toSorted((a, b) => b.asked - a.asked)[0] as FakeOpa;
    const other = fakes.find((fake) => fake !== own) as FakeOpa;
    other.behave = right;
    expect(await ask()).toEqual(answered);
  });

  it('deny as unavailable when none is there', async () => {
    const away = { url: 'http://127.0.0.1:1' };
    const ask = engineOver(away, { url: 'http://127.0.0.1:2' });
    expect(await ask()).toEqual({ kind: 'failed', status: 'policy_unavailable' });
  });

  it('deny as timed out when none says anything', async () => {
    const ask = engineOver(await fakeOpa(hang), await fakeOpa(hang));
    expect(await ask()).toEqual({ kind: 'failed', status: 'timeout' });
  });
});

describe('a set that OPA refuses', () => {
  it('is not put again for every question', async () => {
    let puts = 0;
    const fake = await fakeOpa((request, response) => {
      if (request.method === 'PUT') puts += 1;
      const refusal = { code: 'invalid_parameter', errors: [{ code: 'rego_type_error', message: 'no' }] };
      if (request.method === 'PUT') response.writeHead(400).end(JSON.stringify(refusal));
      else response.end('{}');
    });
    const ask = engineOver(fake);
    for (let n = 0; n < 5; n += 1) expect(await ask()).toEqual({ kind: 'failed', status: 'malformed' });
    expect(puts).toBe(1);
  });
});

describe('an OPA that answers', () => {
  it.each<[string, Behaviour]>([
    ['nothing of use', (_request, response) => void response.end('{}')],
    ['no JSON', (_request, response) => void response.end('<html>')],
    [
      'an allow of another version',
      (_request, response) =>
        void response.end(JSON.stringify({ result: { sentinel: 'other', results: { 0: 'fine' } } })),
    ],
    ['an allow without a sentinel', (_request, response) => void response.end('{"result":{"results":{"0":"fine"}}}')],
    [
      'a duplicate key',
      (_request, response, mark) =>
        void response.end(`{"result":{"sentinel":${JSON.stringify(mark)},"results":{},"results":{"0":"fine"}}}`),
    ],
    [
      'too much',
      (_request, response, mark) =>
        void response.end(JSON.stringify({ result: { sentinel: mark, results: { 0: 'x'.repeat(2 ** 21) } } })),
    ],
    [
      'too deeply',
      (_request, response, mark) =>
        void response.end(
          `{"result":{"sentinel":${JSON.stringify(mark)},"results":{"0":${'['.repeat(99)}${']'.repeat(99)}}}}`,
        ),
    ],
    ['an error', (_request, response) => void response.writeHead(500).end('{"code":"internal_error"}')],
    ['that it knows nobody', (_request, response) => void response.writeHead(401).end('{"code":"unauthorized"}')],
    [
      'half of it',
      (_request, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"result":');
        setTimeout(() => response.destroy(), 10);
      },
    ],
    ['a redirect', (_request, response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end()],
  ])('%s is never believed', async (_what, behave) => {
    const ask = engineOver(await fakeOpa(behave));
    expect((await ask()).kind).toBe('failed');
  });
});
