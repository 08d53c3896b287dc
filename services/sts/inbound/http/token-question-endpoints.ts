// POST /oauth/2/introspect (RFC 7662) and POST /oauth/2/revoke (RFC 7009), and their aliases: a token, and the client that
// asks about it, in a form.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { asFailure } from '#mesh/failure';
import type { Introspection } from '../../domain/introspection.ts';
import type { TokenQuestion } from '../../flows/introspect-token.ts';
import type { RevokeRequest, Revoked } from '../../flows/revoke-token.ts';
import type { StsMetrics } from '../../metrics.ts';
import { readClient } from './client-form.ts';
import { addFormEndpoint, clientFormOf } from './form-endpoint.ts';
import { FormReader } from './form-reader.ts';

const introspectPaths = ['/oauth/2/introspect', '/oauth2/introspect'] as const;
const revokePaths = ['/oauth/2/revoke', '/oauth2/revoke'] as const;
/** No mandate is longer (mesh/mandate); what is cannot be one. */
const maxTokenLength = 8192;
/** Any hint is allowed and none changes the answer (RFC 7662 §2.1, RFC 7009 §2.1). */
const maxHintLength = 128;
const defaultWaitMs = 10_000;
/** As on every revoking call. */
const maxWaitMs = 25_000;

export interface TokenQuestionDeps {
  readonly asked: StsMetrics['tokenQuestions'];
  readonly introspectToken: (question: TokenQuestion) => Promise<Introspection>;
  readonly revokeToken: (request: RevokeRequest) => Promise<Revoked>;
}

function readWait(reader: FormReader): number | undefined {
  const wait = reader.one('wait');
  const timeoutMs = reader.wholeNumber('timeout_ms', 'milliseconds');
  if (wait !== undefined && wait !== 'applied') reader.refuse('wait', 'applied');
  if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > maxWaitMs)) {
    reader.refuse('timeout_ms', `1 to ${maxWaitMs}`);
  }
  return wait === undefined ? undefined : (timeoutMs ?? defaultWaitMs);
}

function readQuestion<T>(request: FastifyRequest, more: (reader: FormReader) => T): TokenQuestion & T {
  const { form, authorization, asked, source } = clientFormOf(request);
  const reader = new FormReader(form);
  const token = reader.text('token', maxTokenLength);
  if (token === undefined) reader.refuse('token', 'required');
  reader.text('token_type_hint', maxHintLength);
  const question = { asked, source, zoneId: reader.requiredId('zone_id'), token: token ?? '', ...more(reader) };
  return { ...question, ...readClient(reader, authorization) };
}

/** Empty where nothing was waited for: a client has nothing to read in it (RFC 7009 §2.2). */
function revokedBody({ number, barrier }: Revoked): object {
  if (!barrier) return {};
  const { applied, points, gone, elapsedMs } = barrier;
  return {
    ...(number === undefined ? {} : { revocation_number: number }),
    applied,
    barrier: { applied, points, gone, elapsed_ms: elapsedMs },
  };
}

/** Counts what became of a question. */
async function counted<T>(
  asked: TokenQuestionDeps['asked'],
  question: 'introspect' | 'revoke',
  work: { readonly answer: () => Promise<T>; readonly outcome: (answer: T) => string },
): Promise<T> {
  try {
    const answer = await work.answer();
    asked.inc({ question, outcome: work.outcome(answer) });
    return answer;
  } catch (error) {
    asked.inc({ question, outcome: asFailure(error).reason });
    throw error;
  }
}

/** Adds both endpoints. */
export async function addTokenQuestionEndpoints(app: FastifyInstance, deps: TokenQuestionDeps): Promise<void> {
  await addFormEndpoint(app, introspectPaths, async (request) =>
    counted(deps.asked, 'introspect', {
      answer: async () => deps.introspectToken(readQuestion(request, () => ({}))),
      outcome: ({ active }) => (active ? 'active' : 'inactive'),
    }),
  );
  await addFormEndpoint(app, revokePaths, async (request) =>
    revokedBody(
      await counted(deps.asked, 'revoke', {
        answer: async () => deps.revokeToken(readQuestion(request, (reader) => ({ waitMs: readWait(reader) }))),
        outcome: ({ number }) => (number === undefined ? 'nothing' : 'revoked'),
      }),
    ),
  );
}
