// A Gateway's end of the Authorize stream, small and strict, for tests of the STS's end.
import { randomBytes } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { AuthorizeRequestSchema } from '#gen/caracal/sts/v1/sts_pb';
import type { Allowed, AuthorizeRequest, AuthorizeResponse, Refused } from '#gen/caracal/sts/v1/sts_pb';
import { hmacSha256, lengthPrefixed } from '#mesh/canonical';
import { newId } from '#mesh/ids';
import { outgoing } from '#mesh/rpc';
import type { StsInstallation } from './sts-installation.ts';

export interface Asked {
  readonly mandate?: string;
  readonly mandateDigest?: Uint8Array;
  readonly zoneId: string;
  readonly resource: string;
  readonly method?: string;
  readonly path?: string;
  readonly deadlineMs?: number;
  readonly requestId?: string;
}

export type Outcome =
  { readonly kind: 'allowed'; readonly value: Allowed } | { readonly kind: 'refused'; readonly value: Refused };

export interface AuthorizeClient extends AsyncDisposable {
  ask(asked: Asked): Promise<Outcome>;
  /** Sends any frame as it is. */
  send(frame: NonNullable<MessageInitShape<typeof AuthorizeRequestSchema>['frame']>): void;
  /** Rejects or resolves when the STS has ended the stream. */
  readonly ended: Promise<void>;
  readonly proof: Uint8Array;
}

class Outbox implements AsyncIterable<AuthorizeRequest> {
  readonly #frames: AuthorizeRequest[] = [];
  #wake = (): void => {};
  #ended = false;

  push(frame: AuthorizeRequest): void {
    this.#frames.push(frame);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AuthorizeRequest> {
    for (;;) {
      for (let next = this.#frames.shift(); next; next = this.#frames.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export interface HelloOptions {
  readonly service?: 'gateway' | 'api';
  readonly key?: Uint8Array;
  readonly spiffeId?: string;
  readonly exporter?: Uint8Array;
}

/** Opens a stream and proves the key; rejects when the STS refuses. */
export async function openAuthorize(sts: StsInstallation, options: HelloOptions = {}): Promise<AuthorizeClient> {
  const { client, transport } = sts.peer(options.service ?? 'gateway');
  const key = options.key ?? Buffer.from(sts.installation.stack.secrets.gatewayStsHmacKey, 'hex');
  const requestId = newId();
  const stop = new AbortController();
  const out = new Outbox();
  const frames = client.authorize(out, outgoing({ requestId, signal: stop.signal }))[Symbol.asyncIterator]();
  const next = async (): Promise<AuthorizeResponse> => {
    const { done, value } = await frames.next();
    if (done === true) throw new Error('the stream ended');
    return value;
  };
  const hello = await next();
  if (hello.frame.case !== 'hello') throw new Error('no hello');
  const gatewayRandom = randomBytes(32);
  const transcript = [
    hello.frame.value.random,
    gatewayRandom,
    options.spiffeId ?? 'spiffe://caracal.dev/caracal/gateway',
    'replica-1',
    options.exporter ?? transport.tlsExporter(requestId) ?? Buffer.alloc(0),
  ];
  const mac = (side: string): Buffer =>
    hmacSha256(key, lengthPrefixed([`caracal/authorize/${side}/v1`, ...transcript]));
  const send: AuthorizeClient['send'] = (frame) => out.push(create(AuthorizeRequestSchema, { frame }));
  const bytes = (value: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(value);
  send({ case: 'hello', value: { random: bytes(gatewayRandom), replicaId: 'replica-1', mac: bytes(mac('gateway')) } });
  const proven = await next();
  if (proven.frame.case !== 'proof' || !mac('sts').equals(proven.frame.value.mac)) throw new Error('no proof');

  const waiting = new Map<bigint, (outcome: Outcome) => void>();
  const ended = (async () => {
    for (;;) {
      const { frame } = await next();
      if (frame.case !== 'verdict') continue;
      const { id, outcome } = frame.value;
      if (outcome.case === undefined) throw new Error('a verdict without outcome');
      waiting.get(id)?.({ kind: outcome.case, value: outcome.value } as Outcome);
    }
  })();
  ended.catch(() => {});
  let lastId = 0n;
  return {
    proof: proven.frame.value.mac,
    ended,
    send,
    ask: async ({ mandate, mandateDigest, zoneId, resource, method, path, deadlineMs, requestId: id }) =>
      new Promise((resolve) => {
        lastId += 1n;
        waiting.set(lastId, resolve);
        const presented = mandateDigest
          ? ({ case: 'mandateDigest', value: bytes(mandateDigest) } as const)
          : ({ case: 'mandate', value: mandate ?? '' } as const);
        const value = { id: lastId, deadlineMs: deadlineMs ?? 5000, presented, zoneId, resource };
        send({
          case: 'question',
          value: { ...value, method: method ?? 'GET', path: path ?? '/', requestId: id ?? newId(), traceparent: '' },
        });
      }),
    async [Symbol.asyncDispose]() {
      out.end();
      stop.abort();
      await ended.catch(() => {});
    },
  };
}
