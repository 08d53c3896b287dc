// Answers that take long, line by line: with `Accept: application/x-ndjson` each step of the work is a line as it comes,
// otherwise the route answers once at the end. The work ends when the client has gone.
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { toWire } from './wire-names.ts';

const lines = 'application/x-ndjson';

export function wantsLines(request: FastifyRequest): boolean {
  return request.headers.accept?.includes(lines) === true;
}

/** Ends the work when the client has gone. */
export function closing({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** Waits for the first step, so that a refusal is answered as one. */
export async function sendLines(reply: FastifyReply, progress: AsyncIterator<object>): Promise<void> {
  const first = await progress.next();
  async function* text(): AsyncGenerator<string> {
    for (let step = first; step.done !== true; step = await progress.next()) {
      yield `${JSON.stringify(toWire(step.value))}\n`;
    }
  }
  await reply.header('content-type', lines).header('cache-control', 'no-store').send(Readable.from(text()));
}
