/** What a curl user would send: JSON and form requests over TLS with the installation's CA, each one timed. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Parsed when it is JSON, text otherwise. */
  body: unknown;
  /** From sending to the last byte. */
  milliseconds: number;
}

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  headers?: Record<string, string>;
  bearer?: string;
  json?: unknown;
  form?: Record<string, string | string[]>;
}

export interface Client extends AsyncDisposable {
  send(url: string, call?: Call): Promise<Reply>;
  /** Opens a response and leaves it open. */
  open(url: string, call?: Call): Promise<OpenResponse>;
}

export interface OpenResponse {
  status: number;
  chunks: AsyncIterator<Uint8Array>;
}

/** No step of the story takes this long unless something is wrong. */
const deadlineMilliseconds = 30_000;

export function createClient(caFile: string): Client {
  const dispatcher = new Agent({ connect: { ca: readFileSync(caFile) } });
  return {
    send: async (url, call = {}) => {
      const started = performance.now();
      const { statusCode, headers, body } = await request(url, {
        dispatcher,
        signal: AbortSignal.timeout(deadlineMilliseconds),
        ...message(call),
      });
      const text = await body.text();
      return { status: statusCode, headers, body: parsed(text), milliseconds: performance.now() - started };
    },
    open: async (url, call = {}) => {
      const { statusCode, body } = await request(url, { dispatcher, ...message(call) });
      return { status: statusCode, chunks: body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array> };
    },
    [Symbol.asyncDispose]: async () => await dispatcher.destroy(),
  };
}

function message(call: Call): { method: NonNullable<Call['method']>; headers: Record<string, string>; body?: string } {
  const headers: Record<string, string> = { accept: 'application/json', ...call.headers };
  if (call.bearer !== undefined) headers['authorization'] = `Bearer ${call.bearer}`;
  if (call.json !== undefined) {
    headers['content-type'] = 'application/json';
    return { method: call.method ?? 'POST', headers, body: JSON.stringify(call.json) };
  }
  if (call.form !== undefined) {
    headers['content-type'] = 'application/x-www-form-urlencoded';
    const pairs = Object.entries(call.form).flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
    return { method: 'POST', headers, body: new URLSearchParams(pairs).toString() };
  }
  return { method: call.method ?? 'GET', headers };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
