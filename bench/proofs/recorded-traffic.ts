// Decisions as an STS would have recorded them, put into the ledger through its stream: signed, ingested and chained like any
// other. What a model says of each stands beside it, so that a replay can be judged.
import { setTimeout as sleep } from 'node:timers/promises';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { createPublisher, createRedis, createStreamSigner } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { auditStreamFields, buildAuditEvent, signAuditEvent } from '#mesh/trail';
import type { ProofInstallation } from './installation.ts';

/** A decision the STS really took: whose members every made one has. */
export interface Pattern {
  readonly zoneId: string;
  readonly policySetId: string;
  readonly policySetVersionId: string;
  readonly manifestSha: string;
  readonly input: JsonObject;
}

export interface Traffic {
  readonly pattern: Pattern;
  readonly count: number;
  readonly random: () => number;
  /** The first one's time; the others follow a millisecond apart. */
  readonly fromMs: number;
  /** Every input another one: nothing is answered from an equal digest. */
  readonly allDifferent: boolean;
  /** Tells these events from those of another run within the installation. */
  readonly incarnation: string;
}

/** What the traffic came to, by the model. */
export interface Modelled {
  readonly decisions: number;
  readonly distinct: number;
  readonly transitions: Readonly<Record<string, number>>;
}

const applications = 40;
const resources = 12;
/** Calls of one session, which asks the same few things again and again. */
const callsPerSession = 100;
const asked: readonly (readonly string[])[] = [
  ['reports:read'],
  ['reports:read'],
  ['reports:read', 'reports:write'],
  ['reports:write'],
  ['reports:delete'],
];
const paths = ['/reports', '/reports/1', '/reports/1/pages', '/reports/2'];
const batch = 1000;
const connectPollMs = 20;

/** What decides in the model; the candidate is the same in Rego. */
const bannedApplication = 'application-7';
const recordedAllows = (scopes: readonly string[]): boolean => !scopes.includes('reports:delete');
const candidateAllows = (application: string, scopes: readonly string[]): boolean =>
  application !== bannedApplication && scopes.every((scope) => scope.endsWith(':read') || scope.endsWith(':delete'));

export const candidatePolicy = `package caracal.authz

default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["careful"], "diagnostics": []}

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["careful"], "diagnostics": []} if {
  input.principal.id != ${JSON.stringify(bannedApplication)}
  every scope in input.context.requested_scopes { mild(scope) }
}

mild(scope) if endswith(scope, ":read")
mild(scope) if endswith(scope, ":delete")
`;

function pick<T>(list: readonly T[], random: () => number): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error('nothing to pick from');
  return found;
}

function object(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

interface Made {
  readonly application: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly inputJson: string;
}

function make({ pattern, random, allDifferent, count }: Traffic, at: number): Made {
  const number = Math.floor(random() * Math.ceil(count / callsPerSession));
  const application = `application-${number % applications}`;
  const resource = `resource-${number % resources}`;
  const scopes = asked[number % asked.length] ?? [];
  const session = allDifferent ? `session-${number}-${at}` : `session-${number}`;
  const { input } = pattern;
  const made: JsonObject = {
    ...input,
    principal: { ...object(input['principal']), id: application },
    resource: { ...object(input['resource']), identifier: resource },
    action: { id: 'GatewayCall', method: 'GET', path: pick(paths, random) },
    session: { id: session, kind: 'instance', depth: 1 },
    context: { ...object(input['context']), requested_scopes: [...scopes] },
  };
  return { application, resource, scopes, inputJson: canonicalJson(made) };
}

class Model {
  readonly #digests = new Set<string>();
  readonly #transitions = new Map<string, number>();
  #decisions = 0;

  add({ application, scopes }: Made, digest: string): void {
    this.#decisions += 1;
    this.#digests.add(digest);
    const [from, to] = [recordedAllows(scopes), candidateAllows(application, scopes)];
    if (from === to) return;
    const key = from ? 'allow_to_deny' : 'deny_to_allow';
    this.#transitions.set(key, (this.#transitions.get(key) ?? 0) + 1);
  }

  report(): Modelled {
    return {
      decisions: this.#decisions,
      distinct: this.#digests.size,
      transitions: Object.fromEntries(this.#transitions),
    };
  }
}

function eventText(traffic: Traffic, made: Made, at: number): { id: string; data: string; digest: string } {
  const { pattern, fromMs, incarnation } = traffic;
  const digest = sha256Hex(made.inputJson);
  const decision = recordedAllows(made.scopes) ? 'allow' : 'deny';
  const id = newId();
  const data = buildAuditEvent(
    {
      ...{ zoneId: pattern.zoneId, eventType: 'gateway.decision', requestId: `replayed-${at}`, decision },
      ...{ policySetId: pattern.policySetId, policySetVersionId: pattern.policySetVersionId },
      ...{ manifestSha: pattern.manifestSha, evaluationStatus: 'complete', occurredAtMs: fromMs + at },
      ...{ inputDigest: digest, inputJson: made.inputJson },
      metadata: { application_id: made.application, resource: made.resource, policy_decision: decision },
    },
    { id, producer: 'sts', producerIncarnation: incarnation, producerSeq: at + 1, nowMs: fromMs },
  );
  return { id, data, digest };
}

/** Puts the traffic into the ledger's stream and says what the model thinks of it. */
export async function recordTraffic({ stack }: ProofInstallation, traffic: Traffic): Promise<Modelled> {
  const { auditHmacKey, streamsHmacKey } = stack.secrets;
  const auditKey = Buffer.from(auditHmacKey, 'hex');
  const signer = createStreamSigner({ current: Buffer.from(streamsHmacKey, 'hex') });
  await using redis = createRedis({ url: stack.addresses.redisUrl, db: 0, name: 'proof', logger: silentLogger });
  // Commands are refused until it is connected.
  while (!redis.isUp()) await sleep(connectPollMs);
  const publisher = createPublisher({ redis, signer });
  const model = new Model();
  for (let at = 0; at < traffic.count; at += batch) {
    const size = Math.min(batch, traffic.count - at);
    const entries = Array.from({ length: size }, (_, n) => {
      const made = make(traffic, at + n);
      const { id, data, digest } = eventText(traffic, made, at + n);
      model.add(made, digest);
      const fields = auditStreamFields({ id, data, sig: signAuditEvent(data, auditKey) });
      return { stream: 'caracal.audit.events' as const, fields };
    });
    const outcomes = await publisher.publish(entries);
    if (outcomes.some(({ kind }) => kind !== 'published')) throw new Error('the stream did not take an event');
  }
  return model.report();
}
