// Requests to servers that tenants name. A connection is opened for each request and ends with it: they are rare, and
// nothing kept alive can be turned against an address that is judged differently by now, or serve another zone.
import { Client } from 'undici';
import { createGuardedConnect, DestinationRefused, type DialTarget, type GuardOptions } from '#mesh/dial';
import { hostOf, namesHost, type HostEntry } from '#mesh/egress';
import { createZoneTurns } from '../../domain/zone-turns.ts';
import type { Egress, EgressOutcome, EgressRequest } from '../../ports/egress.ts';

export interface EgressOptions extends Omit<GuardOptions, 'connectTimeoutMs'> {
  /** UPSTREAM_HOST_DENYLIST, by name; what the names resolve to is among `own`. */
  readonly denied: readonly HostEntry[];
}

/** The reference's limit for a token endpoint; a governed call waits for it. */
const defaultTimeoutMs = 5000;
/** A token answer or a key set is a few KiB. */
const defaultMaxBytes = 65_536;
const maxHeadBytes = 16_384;
/**
 * Requests under way at once, and those of one zone: a slow provider holds its zone's places for up to five seconds and
 * no other zone's. Who waits does so in a governed call, so lines are short.
 */
const turns = { places: 64, perZone: 8, maxWaiting: 512, maxWaitingPerZone: 32 };

const failed = (fault: (EgressOutcome & { kind: 'failed' })['fault'], rule?: string): EgressOutcome => ({
  kind: 'failed',
  fault,
  ...(rule === undefined ? {} : { rule }),
});

type Target = DialTarget & { readonly path: string };

/** What the text of the URL already decides; the address is judged when it is dialled. */
function readTarget(text: string, denied: readonly HostEntry[]): Target | { readonly rule: string } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return { rule: 'not an http or https URL' };
  if (url.username !== '' || url.password !== '') return { rule: 'user info in the URL' };
  const { host, port } = hostOf(url);
  if (namesHost(denied, { host, port })) return { rule: 'in the denylist' };
  return { origin: url.origin, host, port, path: url.pathname + url.search };
}

/** Undefined when the answer is larger than allowed. */
async function readWhole(body: AsyncIterable<Buffer>, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function mediaTypeOf(header: string | string[] | undefined): string {
  const text = Array.isArray(header) ? header[0] : header;
  return (text?.split(';', 1)[0] ?? '').trim().toLowerCase();
}

interface Progress {
  connected: boolean;
}

function faultOf(error: unknown, signal: AbortSignal, { connected }: Progress): EgressOutcome {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    if (cause instanceof DestinationRefused) return failed('not_allowed', cause.rule);
  }
  if (signal.aborted) return failed('timeout');
  return failed(connected ? 'broken' : 'unreachable');
}

async function send(target: Target, request: EgressRequest, options: EgressOptions): Promise<EgressOutcome> {
  const { timeoutMs = defaultTimeoutMs, maxBytes = defaultMaxBytes } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  const progress: Progress = { connected: false };
  const connect = createGuardedConnect(target, false, { ...options, connectTimeoutMs: timeoutMs });
  const client = new Client(target.origin, {
    connect: (wanted, callback) =>
      connect(wanted, (...connected) => {
        progress.connected = connected[0] === null;
        callback(...connected);
      }),
    pipelining: 1,
    maxHeaderSize: maxHeadBytes,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  try {
    const { statusCode, headers, body } = await client.request({
      path: target.path,
      method: request.method,
      headers: { ...request.headers, 'accept-encoding': 'identity', 'user-agent': 'caracal-sts' },
      body: request.body ?? null,
      signal,
    });
    const text = await readWhole(body, maxBytes);
    if (text === undefined) return failed('too_large');
    return { kind: 'answered', status: statusCode, mediaType: mediaTypeOf(headers['content-type']), text };
  } catch (error) {
    return faultOf(error, signal, progress);
  } finally {
    // Not awaited: a connection attempt that hangs would hold the answer up.
    void client.destroy().catch(() => undefined);
  }
}

export function createEgress(options: EgressOptions): Egress {
  const places = createZoneTurns(turns);
  return {
    async request(request) {
      const target = readTarget(request.url, options.denied);
      if ('rule' in target) return failed('not_allowed', target.rule);
      const leave = await places.enter(request.zoneId);
      if (!leave) return failed('crowded');
      try {
        return await send(target, request, options);
      } finally {
        leave();
      }
    },
  };
}
