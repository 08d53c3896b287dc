// GET /step-up/{id}: what has become of an approval that is waited for. Its secret comes in a header or a form and never in
// the query, which proxies write into their logs; without it the approval does not exist.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#mesh/failure';
import { acceptForms, parseBearer } from '#mesh/http';
import type { HoldAnswered, HoldQuestion } from '../../flows/watch-hold.ts';

export interface StepUpDeps {
  /** @throws not_found, store_unavailable. */
  readonly watchHold: (question: HoldQuestion) => Promise<HoldAnswered>;
  /** Calls back when this process begins to drain; gives a function that stops listening. */
  readonly onDrain: (listener: () => void) => () => void;
}

const secretHeader = 'x-caracal-challenge-secret';
/** An id, a secret and a number. */
const maxFormBytes = 4096;
/** authority.md "Approvals": shorter than what proxies between us and the caller wait for an answer. */
const longestWaitSeconds = 25;
const path = '/step-up/:id';

function waitMsOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,6}$/.test(text)) throw fail('invalid_request', { fields: [{ path: 'wait', rule: 'whole seconds' }] });
  return Math.min(Number(text), longestWaitSeconds) * 1000;
}

/** The query holds `wait` once or nothing: whatever else stands there might be a secret in the wrong place. */
function waitOfQuery(request: FastifyRequest): string | undefined {
  const query = new URL(request.raw.url ?? '/', 'http://x').searchParams;
  for (const name of new Set(query.keys())) {
    if (name !== 'wait' || query.getAll(name).length > 1) {
      throw fail('invalid_request', { description: 'The query takes wait, once; the secret goes in a header.' });
    }
  }
  return query.get('wait') ?? undefined;
}

function secretOfHeaders({ headers }: FastifyRequest): string {
  const own = headers[secretHeader];
  if (own !== undefined) return typeof own === 'string' ? own : '';
  return parseBearer(headers.authorization) ?? '';
}

function fromForm(form: URLSearchParams): { secret: string; wait: string | undefined } {
  const one = (...names: readonly string[]): string | undefined => {
    const values = names.flatMap((name) => form.getAll(name));
    if (values.length > 1) throw fail('invalid_request', { fields: [{ path: names[0] ?? '', rule: 'at most once' }] });
    return values[0];
  };
  return { secret: one('challenge_response', 'challenge_secret') ?? '', wait: one('wait') };
}

function asked(request: FastifyRequest): { secret: string; wait: string | undefined } {
  const wait = waitOfQuery(request);
  if (request.method !== 'POST') return { secret: secretOfHeaders(request), wait };
  if (!(request.body instanceof URLSearchParams)) throw fail('unsupported_media_type');
  const form = fromForm(request.body);
  return { secret: form.secret, wait: form.wait ?? wait };
}

function body({ status }: HoldAnswered): object {
  return {
    id: status.id,
    challenge_type: status.type,
    state: status.state,
    satisfied: status.state === 'approved' || status.state === 'consumed',
    consumed: status.state === 'consumed',
    expires_at: new Date(status.expiresAtMs).toISOString(),
  };
}

async function answer(deps: StepUpDeps, request: FastifyRequest, reply: FastifyReply): Promise<object> {
  void reply.header('cache-control', 'no-store');
  const { secret, wait } = asked(request);
  const { id } = request.params as { readonly id: string };
  const over = new AbortController();
  const stop = deps.onDrain(() => over.abort());
  const gone = (): void => over.abort();
  reply.raw.once('close', gone);
  try {
    const answered = await deps.watchHold({ id, secret, waitMs: waitMsOf(wait), signal: over.signal });
    if (answered.askAgainMs !== undefined) void reply.header('retry-after', Math.ceil(answered.askAgainMs / 1000));
    return body(answered);
  } finally {
    reply.raw.off('close', gone);
    stop();
  }
}

/** Adds the routes. Forms are understood here and nowhere else. */
export async function addStepUpRoutes(app: FastifyInstance, deps: StepUpDeps): Promise<void> {
  await app.register(async (scope) => {
    acceptForms(scope, maxFormBytes);
    scope.get(path, async (request, reply) => answer(deps, request, reply));
    scope.post(path, async (request, reply) => answer(deps, request, reply));
  });
}
