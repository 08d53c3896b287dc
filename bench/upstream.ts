// The upstream under load: answers at once with a small document, in a process of its own.
import { createServer } from 'node:http';

/** What a small API answers; large enough not to vanish beside the headers. */
const body = JSON.stringify({ reports: Array.from({ length: 20 }, (_, at) => ({ id: at, title: `Report ${at}` })) });
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };

const server = createServer({ keepAliveTimeout: 120_000 }, (_request, response) => {
  response.writeHead(200, headers).end(body);
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
});
process.once('SIGTERM', () => process.exit(0));
