// A small OAuth 2.0 authorization server with the resource it protects, for tests: client credentials, authorization code with
// PKCE, refresh tokens that rotate and notice being used twice, every way to prove a client, and troubles on demand.
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { jwtVerify, type CryptoKey, type KeyObject } from 'jose';

export type Trouble = 'none' | 'outage' | 'silence' | 'hang_up' | 'redirect' | 'huge' | 'garbage' | 'refusal';

export interface TokenRequestSeen {
  readonly grant: string;
  readonly form: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

export interface AuthorizationServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Requests to the token endpoint, oldest first. */
  readonly seen: TokenRequestSeen[];
  /** Answers of the protected resource, by the authorization header each request had. */
  readonly calls: { readonly authorization: string | undefined; readonly path: string; readonly status: number }[];
  /** What the token endpoint does instead of answering. */
  trouble: Trouble;
  /** Milliseconds before it answers. */
  delayMs: number;
  expiresInSeconds: number | undefined;
  rotates: boolean;
  /** Every secret text it has given out: no log may hold one. */
  readonly given: string[];
  count(grant: string): number;
  /** Follows the authorization URL as a consenting person's browser would: the address that comes back. */
  consent(authorizationUrl: string): Promise<URL>;
  /** Forgets a user's consent: refresh tokens are refused from now on. */
  withdraw(): void;
}

export interface AuthorizationServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly host?: string;
  /** Verifies private_key_jwt; without it that way is refused. */
  readonly clientKey?: CryptoKey | KeyObject;
  /** Served at /keys: what its id tokens are signed with. */
  readonly keys?: object;
  /** Says `iss` in the authorization response (RFC 9207). */
  readonly sendsIssuer?: boolean;
}

interface Code {
  readonly challenge: string;
  readonly redirectUri: string;
}

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

class Server {
  readonly clientId = 'caracal client';
  readonly clientSecret = `client-canary-${randomBytes(9).toString('hex')}:%&`;
  readonly seen: TokenRequestSeen[] = [];
  readonly calls: AuthorizationServer['calls'] = [];
  readonly given: string[] = [this.clientSecret];
  trouble: Trouble = 'none';
  delayMs = 0;
  expiresInSeconds: number | undefined = 3600;
  rotates = true;
  url = '';
  readonly #options: AuthorizationServerOptions;
  readonly #codes = new Map<string, Code>();
  readonly #access = new Set<string>();
  /** True while a refresh token is good; false once it was rotated away. */
  readonly #refresh = new Map<string, boolean>();

  constructor(options: AuthorizationServerOptions) {
    this.#options = options;
  }

  withdraw(): void {
    this.#refresh.clear();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://server.test');
    if (url.pathname === '/authorize') this.#authorize(url, response);
    else if (url.pathname === '/keys') answer(response, 200, { keys: [this.#options.keys] });
    else if (url.pathname === '/token') await this.#token(request, response);
    else this.#resource(request, response);
  }

  #authorize(url: URL, response: ServerResponse): void {
    const of = (name: string): string => url.searchParams.get(name) ?? '';
    const good =
      of('response_type') === 'code' && of('client_id') === this.clientId && of('code_challenge_method') === 'S256';
    if (!good) return answer(response, 400, { error: 'invalid_request' });
    const code = this.#make('code');
    this.#codes.set(code, { challenge: of('code_challenge'), redirectUri: of('redirect_uri') });
    const back = new URL(of('redirect_uri'));
    back.searchParams.set('code', code);
    back.searchParams.set('state', of('state'));
    if (this.#options.sendsIssuer === true) back.searchParams.set('iss', this.url);
    response.writeHead(302, { location: back.toString() });
    response.end();
  }

  async #token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await readBody(request));
    this.seen.push({ grant: form.get('grant_type') ?? '', form, headers: request.headers });
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs).unref());
    if (this.#makeTrouble(request, response)) return;
    if (!(await this.#isClient(request, form))) return answer(response, 401, { error: 'invalid_client' });
    const tokens = this.#grant(form);
    if (tokens === undefined)
      return answer(response, 400, { error: 'invalid_grant', error_description: 'canary prose' });
    answer(response, 200, tokens);
  }

  #makeTrouble(request: IncomingMessage, response: ServerResponse): boolean {
    switch (this.trouble) {
      case 'none':
        return false;
      case 'outage':
        answer(response, 503, { error: 'temporarily_unavailable' });
        return true;
      case 'silence':
        return true;
      case 'hang_up':
        request.socket.destroy();
        return true;
      case 'redirect':
        response.writeHead(307, { location: `${this.url}/elsewhere` });
        response.end();
        return true;
      case 'huge':
        answer(response, 200, { access_token: 'x'.repeat(100_000), token_type: 'Bearer' });
        return true;
      case 'garbage':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end('{"access_token":"a","access_token":"b","token_type":"Bearer"}');
        return true;
      case 'refusal':
        answer(response, 401, { error: 'invalid_client', error_description: 'canary prose' });
        return true;
    }
  }

  async #isClient(request: IncomingMessage, form: URLSearchParams): Promise<boolean> {
    const { authorization } = request.headers;
    if (authorization?.startsWith('Basic ')) {
      const [id = '', secret = ''] = Buffer.from(authorization.slice(6), 'base64').toString('utf8').split(':');
      const decode = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '));
      return decode(id) === this.clientId && decode(secret) === this.clientSecret;
    }
    const assertion = form.get('client_assertion');
    if (assertion !== null) return this.#isAssertion(assertion);
    return form.get('client_id') === this.clientId && [null, this.clientSecret].includes(form.get('client_secret'));
  }

  async #isAssertion(assertion: string): Promise<boolean> {
    const { clientKey } = this.#options;
    if (clientKey === undefined) return false;
    try {
      await jwtVerify(assertion, clientKey, {
        issuer: this.clientId,
        subject: this.clientId,
        audience: this.url,
        typ: 'client-authentication+jwt',
        requiredClaims: ['exp', 'jti'],
      });
      return true;
    } catch {
      return false;
    }
  }

  #grant(form: URLSearchParams): object | undefined {
    switch (form.get('grant_type') ?? '') {
      case 'client_credentials':
        return this.#tokens(undefined);
      case 'authorization_code':
        return this.#redeem(form);
      case 'refresh_token':
        return this.#renew(form.get('refresh_token') ?? '');
      default:
        return undefined;
    }
  }

  #redeem(form: URLSearchParams): object | undefined {
    const code = this.#codes.get(form.get('code') ?? '');
    this.#codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const good = code?.challenge === challenge && code.redirectUri === form.get('redirect_uri');
    return good ? this.#tokens(this.#make('rt')) : undefined;
  }

  #renew(presented: string): object | undefined {
    const good = this.#refresh.get(presented);
    if (good === undefined) return undefined;
    if (!good) {
      // RFC 9700 §4.14.2: a token that was rotated away is shown again, so somebody stole one: the whole grant ends.
      this.withdraw();
      return undefined;
    }
    if (!this.rotates) return this.#tokens(undefined);
    this.#refresh.set(presented, false);
    return this.#tokens(this.#make('rt'));
  }

  #tokens(refreshToken: string | undefined): object {
    const accessToken = this.#make('at');
    this.#access.add(accessToken);
    if (refreshToken !== undefined) this.#refresh.set(refreshToken, true);
    return {
      access_token: accessToken,
      token_type: 'bearer',
      scope: 'read write',
      ...(this.expiresInSeconds === undefined ? {} : { expires_in: this.expiresInSeconds }),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    };
  }

  #make(kind: string): string {
    const text = `${kind}-canary-${randomBytes(12).toString('hex')}`;
    this.given.push(text);
    return text;
  }

  #resource(request: IncomingMessage, response: ServerResponse): void {
    const { authorization } = request.headers;
    const status = this.#access.has((authorization ?? '').replace(/^Bearer /, '')) ? 200 : 401;
    this.calls.push({ authorization, path: request.url ?? '', status });
    answer(response, status, { status });
  }
}

export async function startAuthorizationServer(options: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  const { tls, host = '127.0.0.1' } = options;
  const server = new Server(options);
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void server.handle(request, response).catch(() => response.destroy());
  };
  const http = tls ? createTlsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  server.url = `${tls ? 'https' : 'http'}://${host}:${port}`;
  return Object.assign(server, {
    port,
    count: (grant: string) => server.seen.filter((request) => request.grant === grant).length,
    consent: async (authorizationUrl: string) => {
      const response = await fetch(authorizationUrl, { redirect: 'manual' });
      const location = response.headers.get('location');
      if (location === null) throw new Error(`no consent: ${response.status} ${await response.text()}`);
      return new URL(location);
    },
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
}
