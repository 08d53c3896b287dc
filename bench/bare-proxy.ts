// The baseline: the Gateway's own listener and undici, without any of Caracal's stages. What governing costs is the
// difference between this process and the Gateway.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as forward } from 'undici';
import { createIdentity } from '#mesh/identity';
import { createListener } from '#mesh/listener';
import { silentLogger, silentMetrics } from '#mesh/telemetry';
import { createClock } from '#mesh/time';

const [upstreamUrl = '', certFile = '', keyFile = '', caFile = ''] = process.argv.slice(2);

const dispatcher = new Agent({ pipelining: 1, connections: 128 });
const clock = createClock();

/** Headers that belong to the hop (RFC 9110 §7.6.1); the one thing that a proxy must do. */
const hopByHop = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'host']);

async function proxy(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !hopByHop.has(name)));
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  const answer = await forward(upstreamUrl + (request.url ?? ''), {
    dispatcher,
    method: request.method as 'GET',
    headers,
    body: hasBody ? request : null,
  });
  const kept = Object.entries(answer.headers).filter(([name]) => !hopByHop.has(name));
  response.writeHead(answer.statusCode, Object.fromEntries(kept));
  for await (const chunk of answer.body) {
    if (!response.write(chunk)) await once(response, 'drain');
  }
  response.end();
}

const listener = createListener({
  host: '127.0.0.1',
  port: 0,
  tls: { certFile, keyFile, meshCaFile: caFile },
  identity: createIdentity({ trustDomain: 'caracal.dev', clock }),
  handler: (request, response) => {
    proxy(request as IncomingMessage, response as ServerResponse).catch(() => response.destroy());
  },
  clock,
  logger: silentLogger,
  metrics: silentMetrics(),
});
const { port } = await listener.listen();
process.stdout.write(`${port}\n`);
process.once('SIGTERM', () => process.exit(0));
