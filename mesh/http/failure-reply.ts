/**
 * How a failure looks on an HTTP edge: status, headers and the one JSON shape.
 * It stands alone so that framework routes and raw handlers answer with the same bytes.
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { FastifyReply } from 'fastify';
import type { Failure, JsonObject, JsonValue } from '#mesh/failure';
import { proofChallenge } from '#mesh/mandate';

export interface RenderedFailure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** RFC 9110 §11.6.1: a 401 carries a challenge. `realm` is ours everywhere. */
const bearerChallenge = 'Bearer realm="caracal"';
/** RFC 6749 §5.2: a client that failed to authenticate is challenged with the scheme it can use. */
const clientChallenge = 'Basic realm="caracal"';

/** Pure. Shows the public sentence and safe details alone; cause and private detail stay in the log. */
export function renderFailure(failure: Failure, requestId: string): RenderedFailure {
  const { entry, reason } = failure;
  const { members, details } = detailsOf(failure);
  const body = {
    error: entry.oauthError,
    error_description: failure.description,
    ...members,
    requestId,
    ...(details === undefined ? {} : { details }),
  };
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    // RFC 6749 §5.1 and RFC 9111 §5.2.2.5: an answer about credentials is never stored.
    'cache-control': 'no-store',
    'x-request-id': requestId,
  };
  if (entry.httpStatus === 401) {
    headers['www-authenticate'] = proofChallenge(failure) ?? challengeOf(reason, entry.oauthError);
  }
  if (failure.retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(failure.retryAfterMs / 1000));
  return { status: entry.httpStatus, headers, body: JSON.stringify(body) };
}

function challengeOf(reason: string, oauthError: string): string {
  if (reason === 'invalid_client') return clientChallenge;
  return wordsInChallenge.has(oauthError) ? `${bearerChallenge}, error="${oauthError}"` : bearerChallenge;
}

/** What a client learns from the challenge alone: a better token, or an approval, would help. */
const wordsInChallenge: ReadonlySet<string> = new Set(['invalid_token', 'interaction_required']);

/** The challenge of an approval stands beside `error`, where clients of the token endpoint look for it. */
function detailsOf({ entry, reason, details, fields }: Failure): { members: JsonObject; details?: JsonObject } {
  const inBody = reason === 'interaction_required';
  const all: Record<string, JsonValue> = inBody ? {} : { ...details };
  if (fields.length > 0) all['fields'] = fields.map(({ path, rule }) => ({ path, rule }));
  if (entry.oauthError !== reason) all['reason'] = reason;
  const members = inBody ? { ...details } : {};
  return Object.keys(all).length === 0 ? { members } : { members, details: all };
}

/** A place an answer can be written to. */
export type ReplyTarget = FastifyReply | ServerResponse | Http2ServerResponse;

/**
 * Answers with the failure. A header that the target already has (`WWW-Authenticate` with resource metadata, say) wins
 * over the generic one. Does nothing when an answer has begun: the connection is the only thing left to say it with.
 */
export function sendFailure(target: ReplyTarget, failure: Failure, requestId: string): void {
  const rendered = renderFailure(failure, requestId);
  if ('raw' in target) {
    if (target.sent) return;
    for (const [name, value] of Object.entries(rendered.headers))
      if (!target.hasHeader(name)) target.header(name, value);
    void target.code(rendered.status).header('content-type', rendered.headers['content-type']).send(rendered.body);
    return;
  }
  if (target.headersSent) return void target.destroy();
  target.statusCode = rendered.status;
  for (const [name, value] of Object.entries(rendered.headers)) {
    if (name === 'content-type' || !target.hasHeader(name)) target.setHeader(name, value);
  }
  target.end(rendered.body);
}
