// One OPA over its REST API: bytes in, JSON out, every call bounded in time and size. It knows nothing of zones.
import { parseStrictJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { Pool } from 'undici';
import { exchange, TimeLimit } from './exchange.ts';

export interface OpaClientOptions {
  readonly url: string;
  /** Sent as bearer with every call; undefined only where OPA listens without authentication (dev). */
  readonly token: string | undefined;
  /** Connections kept; evaluation is short, so a few carry thousands of decisions a second. */
  readonly connections?: number;
}

export interface OpaReply {
  readonly status: number;
  readonly body: JsonValue;
}

export interface OpaClient extends AsyncDisposable {
  readonly url: string;
  /** Calls it carries at once. */
  readonly connections: number;
  /** Throws OpaAway, with `timedOut` when the time limit ended it. */
  call(request: OpaCall): Promise<OpaReply>;
}

export interface OpaCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  readonly timeoutMs: number;
  /** The largest answer of use; what exceeds it counts as none. */
  readonly answer?: AnswerLimits | undefined;
}

export interface AnswerLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
}

/** OPA did not answer in time or not at all. */
export class OpaAway extends Error {
  readonly timedOut: boolean;
  constructor(timedOut: boolean, cause: unknown) {
    super(timedOut ? 'opa took too long' : 'opa is away', { cause });
    this.name = 'OpaAway';
    this.timedOut = timedOut;
  }
}

/** A syntax tree of a 256 KiB policy may reach this. */
const largestAnswer: AnswerLimits = { maxBytes: 32 * 1024 * 1024, maxDepth: 20_000 };
const defaultConnections = 16;

function parseBody(text: string, limits: AnswerLimits): JsonValue {
  return text === '' ? null : parseStrictJson(text, limits);
}

/** A client for one OPA. Connections are kept alive; redirects are never followed. */
export function createOpaClient(options: OpaClientOptions): OpaClient {
  const { connections = defaultConnections } = options;
  const base = new URL(options.url);
  const prefix = base.pathname.replace(/\/$/, '');
  const pool = new Pool(base.origin, {
    connections,
    pipelining: 1,
    // Each call has a time limit of its own, from its beginning.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const authorization = options.token === undefined ? [] : ['authorization', `Bearer ${options.token}`];
  return {
    url: options.url,
    connections,
    async call({ method, path, body, contentType, timeoutMs, answer = largestAnswer }) {
      const headers = [...authorization];
      if (body !== undefined) headers.push('content-type', contentType ?? 'application/json');
      const request = { method, path: `${prefix}${path}`, headers, body: body ?? null };
      try {
        const { status, text } = await exchange(pool, request, { timeoutMs, maxBytes: answer.maxBytes });
        return { status, body: parseBody(text, answer) };
      } catch (error) {
        throw new OpaAway(error instanceof TimeLimit, error);
      }
    },
    async [Symbol.asyncDispose]() {
      await pool.destroy();
    },
  };
}

/** True for a JSON object. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
