/** A TCP link that a test can cut and mend: what stands behind it is then away for one client alone. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface CuttableLink extends AsyncDisposable {
  /** The given URL with this link's address in place of its own. */
  readonly url: string;
  /** Ends every connection and refuses new ones until it is mended. */
  cut(): void;
  mend(): void;
}

export async function cuttableLink(targetUrl: string): Promise<CuttableLink> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  // Small messages pass at once, as they would without the link.
  const server = createServer({ noDelay: true }, (socket) => {
    if (isCut) {
      socket.destroy();
      return;
    }
    const onward = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = new URL(targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    cut,
    mend: () => {
      isCut = false;
    },
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        cut();
        server.close(() => resolve());
      }),
  };
}
