import { connect, createServer, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { fail } from '#mesh/failure';
import { RawCall } from './raw-call.ts';
import { RawSink } from './raw-sink.ts';

it('passes an answer on over HTTP/2 in which the upstream repeats what may stand once', async () => {
  const server = createServer((request, response) => {
    const sink = new RawSink(response, new RawCall(request, 'request-1'));
    const once = ['ETag', '"a"', 'ETag', '"b"', 'X-Content-Type-Options', 'nosniff', 'x-content-type-options', 'other'];
    sink.start(200, [...once, 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']);
    sink.write(Buffer.from('ok'));
    sink.end([]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    const stream = session.request({ ':path': '/' });
    stream.on('response', resolve);
    stream.on('error', reject);
    stream.resume();
  });
  session.close();
  await new Promise((resolve) => server.close(resolve));
  expect(headers).toMatchObject({ etag: '"a"', 'x-content-type-options': 'nosniff', 'set-cookie': ['a=1', 'b=2'] });
});

it('refuses with every challenge there is', async () => {
  const server = createServer((request, response) => {
    const challenges = ['www-authenticate', 'Bearer', 'www-authenticate', 'DPoP algs="ES256"', 'dpop-nonce', 'n'];
    new RawSink(response, new RawCall(request, 'request-1')).refuse(fail('unauthenticated'), challenges);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    const stream = session.request({ ':path': '/' });
    stream.on('response', resolve);
    stream.on('error', reject);
    stream.resume();
  });
  session.close();
  await new Promise((resolve) => server.close(resolve));
  expect(headers['www-authenticate']).toBe('Bearer, DPoP algs="ES256"');
  expect(headers['dpop-nonce']).toBe('n');
});
