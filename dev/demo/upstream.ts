/** The protected upstream of the story: a real HTTP server that lets in only who shows the key the agent never sees. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
}

export interface Upstream extends AsyncDisposable {
  url: string;
  /** Every request that reached it, in order. */
  seen: SeenRequest[];
}

export async function startUpstream(options: { port: number; apiKey: string }): Promise<Upstream> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    if (request.headers['x-api-key'] !== options.apiKey) return answer(response, 401, { error: 'no key, no report' });
    if (request.url === '/reports/live') return streamReports(response);
    if (request.method === 'GET') return answer(response, 200, { reports: ['Q1', 'Q2', 'Q3'] });
    if (request.method === 'POST') return answer(response, 201, { stored: true });
    return answer(response, 200, { deleted: true });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** One event, then silence: an open stream that only the Gateway can end. */
function streamReports(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.write('data: {"report":"Q1"}\n\n');
}
