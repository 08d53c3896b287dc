/**
 * The two protocol servers behind the one port: http for HTTP/1.1 and http2 for h2, with the same handler.
 * It stands alone because neither ever listens: they are handed sockets, which has rules of its own.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ListenerLimits } from './limits.ts';
import type { RawRequest, RawResponse } from './live-connection.ts';
import { errorBody } from './raw-reply.ts';

export interface InnerHooks {
  onRequest(request: RawRequest, response: RawResponse): void;
  /** An HTTP/1.1 request that could not be read, or did not arrive in time. */
  onUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void;
  onUpgrade: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
  onConnectMethod(socket: Duplex): void;
  onLateBody(): void;
  newRequestId(): string;
}

export interface InnerServers {
  takeHttp1(socket: Socket): void;
  takeHttp2(socket: Duplex): ServerHttp2Session | undefined;
  close(): void;
}

/** How often http looks for requests that are late; late answers are at most this much later than the limit. */
const checkIntervalMs = 500;

export function createInnerServers(limits: ListenerLimits, hooks: InnerHooks): InnerServers {
  const http1 = createHttp1(limits, hooks);
  const { server: http2, take } = createH2(limits, hooks);
  return {
    takeHttp1: (socket) => {
      http1.emit('connection', socket);
      // Sniffing paused the socket, and http never resumes what it did not pause.
      socket.resume();
    },
    takeHttp2: take,
    close: () => {
      http1.close();
      http2.close();
    },
  };
}

function createHttp1(limits: ListenerLimits, hooks: InnerHooks): Server {
  const { onUpgrade } = hooks;
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(checkIntervalMs, limits.headersTimeoutMs),
      requireHostHeader: true,
      insecureHTTPParser: false,
      // h2c by upgrade is not offered (RFC 9113 §3.1 withdrew it): such a request is answered as plain HTTP/1.1.
      shouldUpgradeCallback: (request) =>
        onUpgrade !== undefined && request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    (request, response) => {
      response.once('finish', () => discardRest(request));
      hooks.onRequest(request, response);
    },
  );
  server.on('clientError', (error, socket) => hooks.onUnreadable(error, socket));
  server.on('connect', (_request, socket) => hooks.onConnectMethod(socket));
  if (onUpgrade !== undefined) server.on('upgrade', onUpgrade);
  // A server that never listens starts its timeout checks only when told that it does.
  server.emit('listening');
  return server;
}

/** After the answer, the rest of an unread body is read away so that the connection can carry the next request. */
function discardRest(request: IncomingMessage): void {
  if (request.complete) return;
  if (request.destroyed) request.socket.destroySoon();
  else request.resume();
}

function createH2(limits: ListenerLimits, hooks: InnerHooks): { server: Http2Server; take: InnerServers['takeHttp2'] } {
  const server = createHttp2Server(
    {
      settings: {
        enablePush: false,
        maxConcurrentStreams: limits.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
      },
      streamResetBurst: limits.streamResetBurst,
      streamResetRate: limits.streamResetPerSecond,
    },
    (request, response) => {
      boundBody(request, response, { limits, hooks });
      request.stream.once('finish', () => endAnswered(request, limits));
      hooks.onRequest(request, response);
    },
  );
  let opened: ServerHttp2Session | undefined;
  server.on('session', (session) => {
    opened = session;
    // Errors of a session end it; without a listener they would end the process.
    session.on('error', () => session.destroy());
  });
  server.on('sessionError', () => undefined);
  return {
    server,
    take: (socket) => {
      opened = undefined;
      server.emit('connection', socket);
      return opened;
    },
  };
}

/**
 * An answered stream whose body is still arriving would stay open, and count against the client's streams: the rest is
 * read away, and what is still open after a while is closed. A reset at once could cut an answer that still flows.
 */
function endAnswered(request: Http2ServerRequest, { answeredLingerMs }: ListenerLimits): void {
  const { stream } = request;
  if (request.readableEnded || stream.destroyed) return;
  // A body that nobody began to read is refused by http2 itself, with a reset.
  if (stream.readableDidRead) request.resume();
  const timer = setTimeout(() => stream.close(), answeredLingerMs);
  timer.unref();
  stream.once('close', () => clearTimeout(timer));
}

/**
 * h2 has no request timeout of its own: a body that does not arrive in time is answered 408 as on HTTP/1.1. Once the
 * answer has begun the stream is a conversation, and its handler bounds it.
 */
function boundBody(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  { limits, hooks }: { limits: ListenerLimits; hooks: InnerHooks },
): void {
  if (request.stream.endAfterHeaders) return;
  const timer = setTimeout(() => {
    if (response.headersSent || response.stream.destroyed) return;
    hooks.onLateBody();
    const requestId = hooks.newRequestId();
    response.writeHead(408, {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': requestId,
    });
    response.end(errorBody('request_timeout', requestId), () => request.stream.close());
  }, limits.requestTimeoutMs);
  timer.unref();
  const stop = () => clearTimeout(timer);
  request.once('end', stop);
  response.once('close', stop);
}
