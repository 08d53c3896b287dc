/**
 * Asks a Postgres whether it takes connections, by the first message of its protocol. It stands alone because the
 * answer is needed before there is a database, a role or a driver.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

/** A server on loopback that has not answered by then is busy starting; the caller asks again. */
const answerLimitMilliseconds = 1_000;
/** Protocol 3.0, the one every supported release speaks (Postgres manual, "Message Formats", StartupMessage). */
const protocolVersion = 196_608;

/**
 * True once the server asks for authentication: until then it answers with an error (57P03, starting up or shutting
 * down) or refuses the connection.
 */
export async function takesConnections(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  socket.setTimeout(answerLimitMilliseconds, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect');
    socket.write(startupMessage({ user: 'postgres', database: 'postgres' }));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer[0] === 'R'.charCodeAt(0);
  } finally {
    socket.destroy();
  }
}

function startupMessage(parameters: Record<string, string>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [name, value]);
  const body = Buffer.from(`${pairs.join('\0')}\0\0`, 'utf8');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(head.length + body.length, 0);
  head.writeUInt32BE(protocolVersion, 4);
  return Buffer.concat([head, body]);
}
