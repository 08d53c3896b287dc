// The upstream of a proof, in the proof's own process: what it has seen is the one account of which calls got through.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface ProofUpstream extends AsyncDisposable {
  readonly url: string;
  /** How often a request id has arrived. */
  readonly seen: ReadonlyMap<string, number>;
  /** Replaces how requests are answered; a short JSON document by default. */
  handle: (request: IncomingMessage, response: ServerResponse) => void;
}

const answerShortly = (_request: IncomingMessage, response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
};

export async function startUpstream(port: number): Promise<ProofUpstream> {
  const seen = new Map<string, number>();
  const upstream = { handle: answerShortly };
  const server = createServer((request, response) => {
    const id = String(request.headers['x-request-id']);
    seen.set(id, (seen.get(id) ?? 0) + 1);
    upstream.handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return Object.assign(upstream, {
    url: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
