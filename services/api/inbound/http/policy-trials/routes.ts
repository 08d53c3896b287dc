// Trials of policies over HTTP: simulation of one input, replay over the ledger with its progress line by line on request.
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { fail } from '#mesh/failure';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { momentOf } from '../moment.ts';
import { setParams } from '../policy-sets/schemas.ts';
import { type Router, addRoute } from '../route.ts';
import { fromWire } from '../wire-names.ts';
import { Replay, Replayed, Simulate, Simulated } from './schemas.ts';
import { progressed, replayed, simulated } from './wire.ts';

const tag = 'policy sets';
const one = '/v1/zones/:zone_id/policy-sets/:policy_set_id';
/** A candidate is code that is run, on what others have asked: not for who may only read. */
const write = { tag, access: 'write', reach: 'zone' } as const;
const lines = 'application/x-ndjson';
const defaultLimit = 100_000;

type Progress = ReturnType<ApiFlows['policyTrials']['replay']>;

export function addPolicyTrialRoutes(router: Router, flows: ApiFlows['policyTrials']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/simulate` },
    summary: 'What a version, or policies not stored, would decide on one input; enforces and records nothing',
    params: setParams,
    body: Simulate,
    response: { 200: Simulated },
    handle: async ({ zone, params, body }) => {
      const { input, params: data, ...rest } = body;
      const wish = { ...fromWire(rest), input, params: data, policySetId: params.policy_set_id };
      return { status: 200, body: simulated(await flows.simulate(zone, wish)) };
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/replay` },
    summary:
      'Which recorded decisions a version, or policies not stored, would flip; with Accept: application/x-ndjson the progress line by line',
    params: setParams,
    body: Replay,
    response: { 200: Replayed },
    handle: async ({ zone, params, body, request, reply }) => {
      const { since, until, limit = defaultLimit, params: data, ...rest } = body;
      const progress = flows.replay(zone, {
        ...fromWire(rest),
        params: data,
        policySetId: params.policy_set_id,
        sinceMs: since === undefined ? undefined : momentOf(since, 'since'),
        untilMs: until === undefined ? undefined : momentOf(until, 'until'),
        limit,
        signal: closing(reply),
      });
      if (request.headers.accept?.includes(lines) === true) await stream(reply, progress);
      return { status: 200, body: reply.sent ? undefined : await report(progress) };
    },
  });
}

/** Ends the work when the client has gone. */
function closing({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

async function report(progress: Progress): Promise<unknown> {
  for await (const { summary } of progress) if (summary !== undefined) return replayed(summary);
  throw fail('internal_error', { privateDetail: 'a replay ended without its summary' });
}

async function stream(reply: FastifyReply, progress: Progress): Promise<void> {
  // What refuses the candidate is answered with its status, before anything was written.
  const first = await progress.next();
  async function* text(): AsyncGenerator<string> {
    if (first.done !== true) yield lineOf(first.value);
    for await (const step of progress) yield lineOf(step);
  }
  await reply.header('content-type', lines).header('cache-control', 'no-store').send(Readable.from(text()));
}

function lineOf(step: Parameters<typeof progressed>[0]): string {
  return `${JSON.stringify(progressed(step))}\n`;
}
