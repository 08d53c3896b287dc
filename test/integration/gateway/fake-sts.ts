// An STS that speaks the real contract over the real fabric and answers as a test tells it: its keys, its streams, its
// verdicts. It proves and checks the hello as the STS does.
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { constantTimeEqual } from '#mesh/canonical';
import { createHealth } from '#mesh/health';
import { newId } from '#mesh/ids';
import { encodeMandate, type MandateClaims } from '#mesh/mandate';
import { callFactsOf, callerOf } from '#mesh/rpc';
import { createSurface } from '#mesh/runtime';
import { createMetrics, silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { Reason } from '#gen/caracal/failure/v1/failure_pb';
import { StsService, type AuthorizeRequest, type Question } from '#gen/caracal/sts/v1/sts_pb';
import { exporterLabel, helloMac } from '../../../services/gateway/domain/authorize-hello.ts';
import { trustDomain, type CertificateFiles } from '../../support/mesh-service.ts';

export interface FakeAllow {
  readonly upstreamUrl: string;
  readonly headerName?: string;
  readonly headerValue?: string;
  readonly identityMandate?: string;
  readonly allowedHosts?: readonly string[];
  readonly reusable?: boolean;
  readonly validForMs?: number;
  readonly policySetVersionId?: string;
  readonly resourceVersion?: bigint;
}

export type FakeVerdict =
  | { readonly allow: FakeAllow }
  | {
      readonly refuse: keyof typeof Reason;
      readonly requiredScopes?: readonly string[];
      readonly challenge?: { id: string; type: string; secret: string; expiresAtMs: bigint };
    }
  | 'silent';

export interface FakeSts extends AsyncDisposable {
  readonly url: string;
  readonly issuer: string;
  readonly questions: Question[];
  /** Whole mandates of the questions asked by digest or whole, in order. */
  readonly hellos: { replicaId: string; proven: boolean }[];
  readonly openStreams: number;
  decide: (question: Question) => FakeVerdict | Promise<FakeVerdict>;
  /** Takes no stream, as an STS that is down; `breakStreams` ends those there are. */
  isAway: boolean;
  /** Proves itself with another key. */
  isFalse: boolean;
  /** A mandate of the zone's key; what is given wins over usual claims. */
  mandate(zoneId: string, claims?: Partial<MandateClaims>): string;
  readonly signingKey: KeyObject;
  /** Ends every stream as a process that dies would. */
  breakStreams(): void;
  forgetMandates(): void;
}

export interface FakeStsOptions {
  readonly tls: CertificateFiles;
  readonly key: Uint8Array;
  /** The zones whose keys it publishes; others do not exist. */
  readonly zones: readonly string[];
  readonly port?: number;
}

export async function startFakeSts({ tls, key, zones, port = 0 }: FakeStsOptions): Promise<FakeSts> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = newId();
  const streams = new Set<AbortController>();
  const known = new Map<string, true>();
  const state = {
    questions: [] as Question[],
    hellos: [] as { replicaId: string; proven: boolean }[],
    decide: ((): FakeVerdict => ({ refuse: 'POLICY_DENIED' })) as FakeSts['decide'],
    isAway: false,
    isFalse: false,
  };

  async function* authorize(
    requests: AsyncIterable<AuthorizeRequest>,
    context: Parameters<typeof callerOf>[0],
  ): AsyncGenerator<object> {
    if (state.isAway) return;
    const frames = requests[Symbol.asyncIterator]();
    const caller = callerOf(context);
    const spiffeId = caller.kind === 'peer' ? caller.spiffeId : '';
    const exporter = callFactsOf(context).connection?.exportKeyingMaterial(exporterLabel, 32) ?? Buffer.alloc(0);
    const stsRandom = new Uint8Array(randomBytes(32));
    yield { frame: { case: 'hello', value: { random: stsRandom } } };
    const first = (await frames.next()).value as AuthorizeRequest;
    if (first.frame.case !== 'hello') return;
    const { random, replicaId, mac } = first.frame.value;
    const facts = { stsRandom, gatewayRandom: random, spiffeId, replicaId, exporter };
    const proven = constantTimeEqual(mac, helloMac('gateway', key, facts));
    state.hellos.push({ replicaId, proven });
    if (!proven) return;
    yield {
      frame: {
        case: 'proof',
        value: { mac: new Uint8Array(helloMac('sts', state.isFalse ? randomBytes(32) : key, facts)) },
      },
    };
    const stop = new AbortController();
    streams.add(stop);
    const out: object[] = [];
    let wake: () => void = () => undefined;
    const push = (item: object): void => {
      out.push(item);
      wake();
    };
    stop.signal.addEventListener('abort', () => wake());
    void (async () => {
      try {
        for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
          if (next.value.frame.case === 'question') void answer(next.value.frame.value, push);
        }
      } catch {
        // The connection is gone; so is the stream.
      }
      stop.abort();
    })();
    try {
      while (!stop.signal.aborted) {
        const item = out.shift();
        if (item !== undefined) yield item;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      streams.delete(stop);
    }
  }

  async function answer(question: Question, push: (frame: object) => void): Promise<void> {
    const { presented } = question;
    const unknown = presented.case === 'mandateDigest' && !known.has(Buffer.from(presented.value).toString('hex'));
    if (presented.case === 'mandate') {
      const { sha256Hex } = await import('#mesh/canonical');
      known.set(sha256Hex(presented.value), true);
    }
    state.questions.push(question);
    const { id } = question;
    if (unknown) {
      const value = { reason: Reason.INVALID_REQUEST, description: 'unknown mandate digest' };
      push({ frame: { case: 'verdict', value: { id, outcome: { case: 'refused', value } } } });
      return;
    }
    const verdict = await state.decide(question);
    if (verdict === 'silent') return;
    push({ frame: { case: 'verdict', value: { id, outcome: outcomeOf(verdict) } } });
  }

  const surface = await createSurface({
    service: 'sts',
    settings: {
      host: '127.0.0.1',
      port,
      tlsCertFile: tls.certFile,
      tlsKeyFile: tls.keyFile,
      meshCaFile: tls.caFile,
      meshTrustDomain: trustDomain,
    },
    mode: 'dev',
    logger: silentLogger,
    metrics: createMetrics('sts', { process: false }),
    health: createHealth({ checks: {} }),
    clock: createClock(),
    rpc: (router) => router.service(StsService, { authorize: authorize as never }),
    http: (app) => {
      const jwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' };
      app.get<{ Params: { zone: string } }>('/zones/:zone/.well-known/jwks.json', async (request, reply) =>
        zones.includes(request.params.zone) ? await reply.send({ keys: [jwk] }) : await reply.code(404).send({}),
      );
    },
  });
  const listening = await surface.listener.listen();
  const issuer = 'https://issuer.test';
  const sts = {
    url: `https://127.0.0.1:${listening.port}`,
    issuer,
    signingKey: privateKey,
    mandate(zoneId: string, claims: Partial<MandateClaims> = {}): string {
      const now = Math.floor(Date.now() / 1000);
      const sid = newId();
      const usual: MandateClaims = {
        iss: issuer,
        sub: 'app-1',
        aud: [issuer],
        iat: now,
        exp: now + 600,
        jti: newId(),
        zone_id: zoneId,
        client_id: 'app-1',
        use: 'ambient',
        sub_type: 'application',
        scope: 'read',
        target: ['res'],
        sid,
        root_sid: sid,
        rev: 0,
      };
      return encodeMandate({ ...usual, ...claims }, { kid, privateKey });
    },
    breakStreams() {
      for (const stream of streams) stream.abort();
    },
    forgetMandates: () => known.clear(),
    [Symbol.asyncDispose]: async () => {
      for (const stream of streams) stream.abort();
      await surface[Symbol.asyncDispose]();
    },
  };
  // A getter would be copied as its value.
  Object.assign(state, sts);
  Object.defineProperty(state, 'openStreams', { get: () => streams.size });
  return state as typeof state & typeof sts & { readonly openStreams: number };
}

function outcomeOf(verdict: Exclude<FakeVerdict, 'silent'>): object {
  if ('refuse' in verdict) {
    const { refuse, requiredScopes = [], challenge } = verdict;
    const said = { reason: Reason[refuse], description: 'the fake says no', eventId: newId(), requiredScopes };
    const value = { ...said, ...(challenge === undefined ? {} : { challenge }) };
    return { case: 'refused', value };
  }
  const { upstreamUrl, headerName = '', headerValue = '', identityMandate = '', ...rest } = verdict.allow;
  return {
    case: 'allowed',
    value: {
      eventId: newId(),
      scopes: ['read'],
      injection: { headerName, headerValue, identityMandate, expiresAtMs: 0n },
      upstreamUrl,
      allowedHosts: [...(rest.allowedHosts ?? [])],
      reusable: rest.reusable ?? false,
      validUntilMs: BigInt(Date.now() + (rest.validForMs ?? 5000)),
      policyDigest: 'a'.repeat(64),
      policySetId: 'set-1',
      policySetVersionId: rest.policySetVersionId ?? 'version-1',
      inputDigest: 'b'.repeat(64),
      resourceVersion: rest.resourceVersion ?? 1n,
      delegationEpoch: 0n,
    },
  };
}
