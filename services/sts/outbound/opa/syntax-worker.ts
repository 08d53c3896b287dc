// A thread of its own for syntax trees: OPA's tree of one policy may have 32 MiB, and parsing and walking it would hold up
// every decision of the process. It asks OPA itself, so that not even the bytes pass through the thread that decides.
import { parentPort } from 'node:worker_threads';
import { checkPolicy } from '../../domain/policy-check.ts';
import type { PolicyProblem } from '../../domain/policy-check.ts';
import { createOpaClient, isJsonObject } from './opa-client.ts';
import type { OpaClient, OpaReply } from './opa-client.ts';

export interface SyntaxQuestion {
  readonly id: number;
  readonly url: string;
  readonly token: string | undefined;
  readonly source: string;
  readonly timeoutMs: number;
}

export type SyntaxAnswer =
  /** Everything that may not stand in the policy; empty when it may be put. */
  | { readonly kind: 'checked'; readonly problems: readonly PolicyProblem[] }
  /** OPA cannot parse it. */
  | { readonly kind: 'unparsed' }
  | { readonly kind: 'away'; readonly timedOut: boolean };

/** Where the parsing rule lives; outside every zone's package. */
const parserPath = 'caracal/sts_parser';
const parserModule = 'package caracal.sts_parser\n\nparsed := rego.parse_module("policy.rego", input.source)\n';
/** Requests come one after another. */
const connections = 1;
const clients = new Map<string, OpaClient>();

function clientOf({ url, token }: SyntaxQuestion): OpaClient {
  const known = clients.get(url) ?? createOpaClient({ url, token, connections });
  clients.set(url, known);
  return known;
}

async function parse(question: SyntaxQuestion): Promise<OpaReply> {
  const client = clientOf(question);
  const { source, timeoutMs } = question;
  const ask = async (): Promise<OpaReply> =>
    client.call({
      method: 'POST',
      path: `/v1/data/${parserPath}/parsed`,
      body: JSON.stringify({ input: { source } }),
      timeoutMs,
    });
  const reply = await ask();
  const isAnswered = reply.status !== 200 || !isJsonObject(reply.body) || reply.body['result'] !== undefined;
  if (isAnswered) return reply;
  // OPA forgets everything on a restart, the parsing rule included.
  const path = `/v1/policies/${parserPath}`;
  await client.call({ method: 'PUT', path, body: parserModule, contentType: 'text/plain', timeoutMs });
  return ask();
}

async function answer(question: SyntaxQuestion): Promise<SyntaxAnswer> {
  let reply: OpaReply;
  try {
    reply = await parse(question);
  } catch (error) {
    const timedOut = typeof error === 'object' && error !== null && 'timedOut' in error && error.timedOut === true;
    return { kind: 'away', timedOut };
  }
  const tree = reply.status === 200 && isJsonObject(reply.body) ? reply.body['result'] : undefined;
  return tree === undefined ? { kind: 'unparsed' } : { kind: 'checked', problems: checkPolicy(tree, question.source) };
}

parentPort?.on('message', (question: SyntaxQuestion) => {
  void answer(question).then((said) => parentPort?.postMessage({ ...said, id: question.id }));
});
