// What every endpoint that clients send forms to has in common (RFC 6749 §3.2, RFC 7009 §2.1, RFC 7662 §2.1): one media
// type, one size, nothing in the query, nothing cached.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asFailure, fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import { acceptForms, requestIdOf, traceOf } from '#mesh/http';
import { remoteOf } from '#mesh/listener';
import type { Asked } from '../../flows/evidence.ts';

/** authority.md "Token endpoint". */
const maxFormBytes = 64 * 1024;

export interface ClientForm {
  readonly form: URLSearchParams;
  /** RFC 6749 §2.3.1: the other place for a client's credential. */
  readonly authorization: string | undefined;
  readonly asked: Asked;
  /** The address the request came from. */
  readonly source: string;
}

/** Headers of the Gateway's own calls: ignoring them would mislead the caller. */
function refuseForeignHeaders(request: FastifyRequest): void {
  for (const name of Object.keys(request.headers)) {
    if (name.startsWith('x-caracal-gateway-')) {
      throw fail('invalid_request', { description: 'Gateway headers have no meaning here.' });
    }
  }
}

function askedOf({ raw }: FastifyRequest): Asked {
  return { requestId: requestIdOf(raw), traceId: traceOf(raw).traceId };
}

/** The form, with who asked. Throws `invalid_request` and `unsupported_media_type`. */
export function clientFormOf(request: FastifyRequest): ClientForm {
  refuseForeignHeaders(request);
  if (request.raw.url?.includes('?') === true) {
    throw fail('invalid_request', { description: 'Parameters belong in the form, not in the query.' });
  }
  if (!(request.body instanceof URLSearchParams)) throw fail('unsupported_media_type');
  return {
    form: request.body,
    authorization: request.headers.authorization,
    asked: askedOf(request),
    source: remoteOf(request.raw),
  };
}

/** A request that was refused before anybody was asked. */
export interface Unread {
  readonly asked: Asked;
  readonly source: string;
  readonly failure: Failure;
}

/** What a request says by its form; one that says nothing readable is recorded before it is refused. */
export async function readForm<T>(
  request: FastifyRequest,
  read: (form: ClientForm) => T,
  record: (unread: Unread) => Promise<void>,
): Promise<T> {
  try {
    return read(clientFormOf(request));
  } catch (error) {
    const failure = asFailure(error);
    await record({ asked: askedOf(request), source: remoteOf(request.raw), failure });
    throw failure;
  }
}

/** Adds one endpoint under all its paths. Forms are understood here and nowhere else. */
export async function addFormEndpoint(
  app: FastifyInstance,
  paths: readonly string[],
  answer: (request: FastifyRequest, reply: FastifyReply) => Promise<object | undefined>,
): Promise<void> {
  await app.register(async (scope) => {
    acceptForms(scope, maxFormBytes);
    for (const path of paths) {
      scope.post(path, async (request, reply) => {
        // RFC 6749 §5.1: before anything can go wrong, so that errors carry it too.
        void reply.header('cache-control', 'no-store').header('pragma', 'no-cache');
        return answer(request, reply);
      });
    }
  });
}
