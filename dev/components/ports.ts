/** Finds loopback ports that nothing listens on, and keeps a set together: all wanted ones, or free ones for all. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Whether a listener could be opened on 127.0.0.1 and on all addresses, so that neither kind of neighbour is missed. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, '0.0.0.0'));
}

async function canListen(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/**
 * Distinct ports that were free at this moment. They are held together until all are found, so that no number comes
 * twice; another process may still take one before its owner listens.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(async (server) => {
        server.listen({ port: 0, host: '127.0.0.1', exclusive: true });
        await once(server, 'listening');
        return (server.address() as AddressInfo).port;
      }),
    );
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

export async function findFreePort(): Promise<number> {
  const [port] = await findFreePorts(1);
  if (port === undefined) throw new Error('the system gave no free loopback port');
  return port;
}

/** The wanted ports when every one of them is free, else as many free ones: half a familiar set misleads. */
export async function allOrFree(wanted: readonly number[]): Promise<{ ports: number[]; asWanted: boolean }> {
  const free = await Promise.all(wanted.map(isPortFree));
  if (free.every(Boolean)) return { ports: [...wanted], asWanted: true };
  return { ports: await findFreePorts(wanted.length), asWanted: false };
}
