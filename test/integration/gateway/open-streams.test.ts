// Answers that stay open: passed on as they come in both directions, and ended the moment their authority ends.
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2';
import { request as tlsRequest } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { startBed, until, whole, type Bed } from './gateway-bed.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await startBed({
    env: { UPSTREAM_TIMEOUT: '600ms', STREAM_IDLE_TIMEOUT: '1500ms', MAX_REQUEST_BYTES: '100000' },
  });
});
afterAll(async () => await bed[Symbol.asyncDispose]());
beforeEach(() => {
  bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url } });
  bed.upstream.handle = (_request, response) => void response.end('from upstream');
});

/** An upstream that opens an event stream, says one thing, and then what it is told. */
function events(): { opened: Promise<ServerResponse>; closed: () => boolean } {
  let closed = false;
  const opened = new Promise<ServerResponse>((resolve) => {
    bed.upstream.handle = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      response.on('close', () => (closed = true));
      resolve(response);
    };
  });
  return { opened, closed: () => closed };
}

interface Reading {
  readonly text: () => string;
  readonly ended: () => 'open' | 'whole' | 'broken';
}

function read(response: IncomingMessage): Reading {
  let text = '';
  let ended: 'open' | 'whole' | 'broken' = 'open';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => (text += chunk));
  response.on('end', () => (ended = response.complete ? 'whole' : 'broken'));
  response.on('error', () => (ended = 'broken'));
  response.on('aborted', () => (ended = 'broken'));
  return { text: () => text, ended: () => ended };
}

describe('streaming', () => {
  test('the first event arrives before the second is written', async () => {
    const upstream = events();
    const { response, destroy } = await bed.open();
    const reading = read(response);
    await until(() => reading.text() === 'data: first\n\n', 'the first event');
    (await upstream.opened).write('data: second\n\n');
    await until(() => reading.text().endsWith('data: second\n\n'), 'the second event');
    expect(reading.ended()).toBe('open');
    destroy();
    await until(() => upstream.closed(), 'the end of the upstream’s request');
  });

  test('a head without a body yet is not held back', async () => {
    let opened: ServerResponse | undefined;
    bed.upstream.handle = (_request, response) => {
      opened = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    };
    const { response, destroy } = await bed.open();
    expect(response.statusCode).toBe(200);
    opened?.end();
    destroy();
  });

  test('a request’s body flows while the answer does', async () => {
    bed.upstream.handle = (request, response) => {
      response.writeHead(200);
      request.on('data', (chunk: Buffer) => response.write(`echo ${chunk.toString()}\n`));
      request.on('end', () => response.end('done'));
    };
    const token = bed.sts.mandate(bed.zoneId);
    const sent = tlsRequest({
      host: '127.0.0.1',
      servername: 'localhost',
      port: bed.port,
      ca: bed.authority.authority.certificatePem,
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${token}`, 'x-caracal-resource': 'res' },
    });
    const response = new Promise<IncomingMessage>((resolve, reject) =>
      sent.on('response', resolve).on('error', reject),
    );
    sent.write('one');
    const reading = read(await response);
    await until(() => reading.text() === 'echo one\n', 'the echo of the first part');
    sent.end('two');
    await until(() => reading.ended() === 'whole');
    expect(reading.text()).toBe('echo one\necho two\ndone');
  });

  test('a large answer arrives whole through a slow reader', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    bed.upstream.handle = (_request, response) => {
      let left = 256;
      const write = (): void => {
        while (left > 0) {
          left -= 1;
          if (!response.write(chunk)) return void response.once('drain', write);
        }
        response.end();
      };
      write();
    };
    const { response } = await bed.open();
    let bytes = 0;
    let pauses = 0;
    for await (const part of response) {
      bytes += (part as Buffer).length;
      if (bytes % (1024 * 1024) < 20_000 && pauses < 20) {
        pauses += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    expect(bytes).toBe(256 * chunk.length);
  });

  test('trailers of the upstream reach the caller', async () => {
    bed.upstream.handle = (_request, response) => {
      response.writeHead(200, { trailer: 'x-sum' });
      response.write('body');
      response.addTrailers({ 'x-sum': 'abc', 'x-caracal-evil': '1' });
      response.end();
    };
    const answer = await bed.call();
    expect(answer.trailers).toEqual({ 'x-sum': 'abc' });
  });
});

describe('ending an open answer', () => {
  async function openEvents(
    claims: object = {},
  ): Promise<Reading & { upstreamClosed: () => boolean; requestId: string }> {
    const upstream = events();
    const requestId = newId();
    const token = bed.sts.mandate(bed.zoneId, claims);
    const { response } = await bed.open({ token, headers: { 'x-request-id': requestId } });
    const reading = read(response);
    await until(() => reading.text() !== '', 'the first event');
    return { ...reading, upstreamClosed: upstream.closed, requestId };
  }

  async function expectCut(stream: Awaited<ReturnType<typeof openEvents>>, reason: string): Promise<void> {
    await until(() => stream.ended() !== 'open', 'the cut');
    expect(stream.ended()).toBe('broken');
    await until(() => stream.upstreamClosed(), 'the end of the upstream’s request');
    await until(async () => (await bed.events({ request_id: stream.requestId })).length >= 2, 'events');
    const events = await bed.events({ request_id: stream.requestId });
    expect(events.map((event) => `${String(event['event_type'])} ${String(event['reason'])}`).toSorted()).toEqual([
      `gateway.outcome ${reason}`,
      `stream.cut ${reason}`,
    ]);
  }

  test.each(['session', 'application', 'jti', 'subject', 'agent_session'])(
    'an idle stream is cut when its %s is revoked',
    async (kind) => {
      const ids = { sid: newId(), client_id: newId(), jti: newId(), sub: newId(), agent_session_id: newId() };
      const stream = await openEvents({ ...ids, root_sid: ids.sid });
      const bystander = await openEvents();
      // Long enough to be found through the index of anchors.
      await new Promise((resolve) => setTimeout(resolve, 400));
      const anchor = {
        session: ids.sid,
        application: ids.client_id,
        jti: ids.jti,
        subject: ids.sub,
        agent_session: ids.agent_session_id,
      }[kind];
      await bed.revoke([{ kind, anchor: anchor ?? '' }]);
      await expectCut(stream, 'revoked');
      expect(bystander.ended()).toBe('open');
    },
  );

  test('a stream that has just opened is cut too', async () => {
    const sid = newId();
    const stream = await openEvents({ sid, root_sid: sid });
    await bed.revoke([{ kind: 'session', anchor: sid }]);
    await expectCut(stream, 'revoked');
  });

  test('ends with its mandate', async () => {
    const iat = Math.floor(Date.now() / 1000);
    const upstream = events();
    void upstream.opened.then((response) => {
      const timer = setInterval(() => response.write(': tick\n\n'), 200);
      response.on('close', () => clearInterval(timer));
    });
    const requestId = newId();
    const token = bed.sts.mandate(bed.zoneId, { iat, exp: iat + 2 });
    const { response } = await bed.open({ token, headers: { 'x-request-id': requestId } });
    const reading = read(response);
    await expectCut({ ...reading, upstreamClosed: upstream.closed, requestId }, 'mandate_expired');
  });

  test('is decided again when the policy changes, and cut when that says no', async () => {
    const stream = await openEvents();
    bed.sts.decide = () => ({ refuse: 'POLICY_DENIED' });
    await bed.policyChanged(newId());
    await expectCut(stream, 'denied_anew');
  });

  test('goes on when it is allowed again', async () => {
    const stream = await openEvents();
    const asked = bed.sts.questions.length;
    await bed.policyChanged(newId());
    await until(() => bed.sts.questions.length > asked, 'another question');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(stream.ended()).toBe('open');
  });

  test('an upstream that falls silent is given up', async () => {
    const stream = await openEvents();
    await until(() => stream.ended() === 'broken', 'the cut');
    await until(async () => (await bed.events({ request_id: stream.requestId })).length > 0);
    expect(await bed.events({ request_id: stream.requestId })).toMatchObject([
      { reason: 'upstream_idle', status: 200 },
    ]);
  });
});

describe('an upstream that fails', () => {
  const cases: [string, (request: IncomingMessage, response: ServerResponse) => void, number, string][] = [
    ['does not answer', () => undefined, 504, 'upstream_timeout'],
    ['closes without a word', (request) => request.socket.destroy(), 502, 'upstream_unreachable'],
    ['speaks no HTTP', (request) => void request.socket.end('SSH-2.0-nothing\r\n'), 502, 'upstream_unreachable'],
  ];
  test.each(cases)('and %s is told in words that name nothing', async (...[, handle, status, error]) => {
    bed.upstream.handle = handle;
    const requestId = newId();
    const answer = await bed.call({ headers: { 'x-request-id': requestId } });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ error, requestId });
    expect(answer.body).not.toMatch(/127\.0\.0\.1|ECONN|socket|undici|:\d{4,5}/);
    await until(async () => (await bed.events({ request_id: requestId })).length === 1);
    expect(await bed.events({ request_id: requestId })).toMatchObject([{ event_type: 'gateway.outcome', status }]);
  });

  test('and is not there at all is 502', async () => {
    bed.sts.decide = () => ({ allow: { upstreamUrl: 'http://upstream.test:1/' } });
    expect((await bed.call()).status).toBe(502);
  });

  test('midway breaks the answer off where everyone can see it', async () => {
    bed.upstream.handle = (request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half');
      setTimeout(() => request.socket.destroy(), 50);
    };
    const reading = read((await bed.open()).response);
    await until(() => reading.ended() !== 'open');
    expect(reading).toSatisfy(() => reading.ended() === 'broken' && reading.text() === 'half');
  });

  test('with an error of its own is passed on and not asked again', async () => {
    bed.upstream.seen.length = 0;
    bed.upstream.handle = (_request, response) => void response.writeHead(401, { 'x-own': '1' }).end('no');
    expect(await bed.call()).toMatchObject({ status: 401, body: 'no' });
    expect(bed.upstream.seen).toHaveLength(1);
  });
});

describe('requests that are too much', () => {
  const refused = async (body: Buffer, headers: Record<string, string>): Promise<[number, unknown]> => {
    const answer = await bed.call({ method: 'POST', body, headers });
    return [answer.status, (JSON.parse(answer.body) as { error: string }).error];
  };

  test('a declared length above the limit is 413 without being read', async () => {
    expect(await refused(Buffer.alloc(100_001), {})).toEqual([413, 'payload_too_large']);
  });

  test('a body that grows above the limit is 413', async () => {
    bed.upstream.handle = (request, response) => {
      request.resume();
      request.on('end', () => response.end('took it'));
    };
    expect(await refused(Buffer.alloc(300_000), { 'transfer-encoding': 'chunked' })).toEqual([
      413,
      'payload_too_large',
    ]);
  });

  test('a body that never comes is 408', async () => {
    bed.upstream.handle = (request) => void request.resume();
    const token = bed.sts.mandate(bed.zoneId);
    const sent = tlsRequest({
      host: '127.0.0.1',
      servername: 'localhost',
      port: bed.port,
      ca: bed.authority.authority.certificatePem,
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${token}`, 'x-caracal-resource': 'res', 'content-length': '10' },
    });
    sent.on('error', () => undefined);
    sent.write('half');
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve));
    const answer = await whole({ response });
    expect([answer.status, (JSON.parse(answer.body) as { error: string }).error]).toEqual([408, 'request_timeout']);
  });
});

describe('HTTP/2', () => {
  function session(): ClientHttp2Session {
    return connectHttp2(`https://localhost:${bed.port}`, { ca: bed.authority.authority.certificatePem });
  }
  const headers = (more: object = {}) => ({
    ':path': '/',
    authorization: `Bearer ${bed.sts.mandate(bed.zoneId)}`,
    'x-caracal-resource': 'res',
    ...more,
  });

  test('calls pass in both directions', async () => {
    bed.upstream.handle = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.writeHead(201, { 'set-cookie': ['a=1', 'b=2'], connection: 'close' });
        response.end(Buffer.concat(chunks).toString().toUpperCase());
      });
    };
    const client = session();
    const stream = client.request(headers({ ':method': 'POST', cookie: ['x=1', 'y=2'] }));
    let answered: Record<string, unknown> = {};
    stream.on('response', (got) => (answered = got));
    stream.end('hello');
    let text = '';
    for await (const chunk of stream.setEncoding('utf8')) text += String(chunk);
    client.close();
    expect(text).toBe('HELLO');
    expect(answered).toMatchObject({ ':status': 201, 'set-cookie': ['a=1', 'b=2'] });
    expect(bed.upstream.seen.at(-1)?.headers.cookie).toBe('x=1; y=2');
  });

  test('a cut resets the stream and leaves its neighbours alone', async () => {
    const sid = newId();
    events();
    const client = session();
    const token = bed.sts.mandate(bed.zoneId, { sid, root_sid: sid });
    const doomed = client.request(headers({ authorization: `Bearer ${token}` }));
    doomed.on('error', () => undefined);
    await new Promise((resolve) => doomed.once('data', resolve));
    const spared = client.request(headers());
    spared.on('error', () => undefined);
    await new Promise((resolve) => spared.once('data', resolve));
    await bed.revoke([{ kind: 'session', anchor: sid }]);
    await until(() => doomed.closed, 'the reset');
    expect(doomed.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect(spared.closed).toBe(false);
    client.destroy();
  });

  test('a refusal is the documented error', async () => {
    const client = session();
    const stream = client.request(headers({ authorization: 'Bearer a.b.c' }));
    let status: unknown;
    stream.on('response', (got) => (status = got[':status']));
    let text = '';
    for await (const chunk of stream.setEncoding('utf8')) text += String(chunk);
    client.close();
    expect([status, (JSON.parse(text) as { error: string }).error]).toEqual([401, 'invalid_token']);
  });
});
