// Evaluates the version a zone watches on every decision, after the decision and apart from it, and records where the two
// differ. It is bounded throughout: a watched version that is slow or broken takes a small share and then rests.
import type { AuditEventDraft } from '#mesh/trail';
import type { Clock } from '#mesh/time';
import { combine, denial } from '../domain/decision.ts';
import type { Decision } from '../domain/decision.ts';
import type { PolicySetVersion } from '../domain/policy-set.ts';
import type { Directory } from '../ports/directory.ts';
import type { PolicyEngine } from '../ports/policy-engine.ts';
import type { SeenDecision, ShadowWatch } from '../ports/shadow-watch.ts';

export interface WatchShadowDeps {
  readonly directory: Pick<Directory, 'shadowPolicySet'>;
  readonly policyEngine: Pick<PolicyEngine, 'evaluate'>;
  /** Recorded with the next batch; nobody waits for it. */
  readonly record: (draft: AuditEventDraft) => void;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly onOutcome: (outcome: ShadowOutcome) => void;
}

export type ShadowOutcome = 'same' | 'differs' | 'failed' | 'skipped';

/** Evaluations of one zone's shadow at once: of sixteen connections to OPA two, so that enforced decisions have theirs. */
const underWayPerZone = 2;
const underWayInAll = 8;
/** Decisions that wait for their turn; what comes beyond is counted as skipped. */
const waitingPerZone = 256;
/** Zones that are remembered; one that is forgotten begins anew. */
const maxZones = 4096;
/** A shadow that fails so often in a row rests for so long: it costs the zone's OPA a time limit each. */
const failuresBeforeRest = 5;
const restMs = 30_000;
/** Differences recorded per zone and second; a shadow that always differs would double the ledger. */
const recordedPerSecond = 20;
/** Of an outage of policy itself there is nothing to compare with. */
const outages: ReadonlySet<string> = new Set(['timeout', 'policy_unavailable', 'evaluation_error']);

interface ZoneWatch {
  underWay: number;
  readonly waiting: SeenDecision[];
  failures: number;
  restsUntilMs: number;
  second: number;
  recorded: number;
  suppressed: number;
}

function newZoneWatch(): ZoneWatch {
  return { underWay: 0, waiting: [], failures: 0, restsUntilMs: 0, second: -1, recorded: 0, suppressed: 0 };
}

function differenceEvent(
  seen: SeenDecision,
  shadow: { readonly version: PolicySetVersion; readonly decision: Decision },
  suppressed: number,
): AuditEventDraft {
  const { version, decision } = shadow;
  const { policySetId, versionId, digest, traceId } = seen;
  return {
    zoneId: seen.zoneId,
    eventType: 'policy.shadow_difference',
    requestId: seen.requestId,
    ...(traceId === undefined ? {} : { traceId }),
    ...(versionId === undefined ? {} : { policySetId, policySetVersionId: versionId, manifestSha: digest }),
    determiningPolicies: [...decision.determining],
    diagnostics: [...decision.diagnostics],
    inputDigest: seen.inputDigest,
    metadata: {
      application_id: seen.applicationId,
      resource: seen.resource,
      scopes: [...seen.scopes],
      enforced: seen.decision.kind,
      enforced_status: seen.decision.status,
      shadow: decision.kind,
      shadow_status: decision.status,
      shadow_version_id: version.versionId,
      shadow_digest: version.digest,
      ...(suppressed > 0 ? { suppressed } : {}),
    },
  };
}

class Watch implements ShadowWatch {
  readonly #deps: WatchShadowDeps;
  readonly #zones = new Map<string, ZoneWatch>();
  #underWay = 0;

  constructor(deps: WatchShadowDeps) {
    this.#deps = deps;
  }

  note(seen: SeenDecision): void {
    if (outages.has(seen.decision.status)) return;
    void this.#consider(seen).catch(() => this.#deps.onOutcome('failed'));
  }

  /** Nothing is queued for a zone that watches nothing. */
  async #consider(seen: SeenDecision): Promise<void> {
    const version = await this.#deps.directory.shadowPolicySet(seen.zoneId);
    if (version === undefined) return;
    const zone = this.#zoneOf(seen.zoneId);
    const isFull = zone.waiting.length >= waitingPerZone;
    if (isFull || this.#deps.clock.monotonic() < zone.restsUntilMs) {
      this.#deps.onOutcome('skipped');
      return;
    }
    zone.waiting.push(seen);
    this.#pump(zone);
  }

  #zoneOf(zoneId: string): ZoneWatch {
    const zone = this.#zones.get(zoneId) ?? newZoneWatch();
    this.#zones.set(zoneId, zone);
    if (this.#zones.size > maxZones) {
      const [oldest] = this.#zones.keys();
      if (oldest !== undefined && oldest !== zoneId) this.#zones.delete(oldest);
    }
    return zone;
  }

  #pump(zone: ZoneWatch): void {
    while (zone.underWay < underWayPerZone && this.#underWay < underWayInAll) {
      const seen = zone.waiting.shift();
      if (seen === undefined) return;
      zone.underWay += 1;
      this.#underWay += 1;
      void this.#look(zone, seen)
        .catch(() => this.#deps.onOutcome('failed'))
        .finally(() => {
          zone.underWay -= 1;
          this.#underWay -= 1;
          this.#pump(zone);
          this.#pumpOthers();
        });
    }
  }

  /** A zone that found no place among all gets the one that has just become free. */
  #pumpOthers(): void {
    for (const zone of this.#zones.values()) {
      if (this.#underWay >= underWayInAll) return;
      if (zone.waiting.length > 0) this.#pump(zone);
    }
  }

  async #look(zone: ZoneWatch, seen: SeenDecision): Promise<void> {
    const { directory, policyEngine, onOutcome } = this.#deps;
    const version = await directory.shadowPolicySet(seen.zoneId);
    if (version === undefined) return;
    const { inputJson, inputDigest } = seen;
    const evaluation = await policyEngine.evaluate({ version, inputJson, inputDigest });
    if (evaluation.kind === 'failed') this.#fail(zone);
    else zone.failures = 0;
    const names = version.policies.map(({ name }) => name);
    const decision = evaluation.kind === 'failed' ? denial(evaluation.status) : combine(names, evaluation.results);
    // What a shadow could not answer says nothing of what it would decide.
    if (outages.has(decision.status)) onOutcome('failed');
    else if (decision.kind === seen.decision.kind) onOutcome('same');
    else this.#differ(zone, seen, { version, decision });
  }

  #fail(zone: ZoneWatch): void {
    zone.failures += 1;
    if (zone.failures < failuresBeforeRest) return;
    zone.failures = 0;
    zone.restsUntilMs = this.#deps.clock.monotonic() + restMs;
    for (let left = zone.waiting.length; left > 0; left -= 1) this.#deps.onOutcome('skipped');
    zone.waiting.length = 0;
  }

  #differ(zone: ZoneWatch, seen: SeenDecision, shadow: Parameters<typeof differenceEvent>[1]): void {
    const { clock, onOutcome, record } = this.#deps;
    onOutcome('differs');
    const second = Math.floor(clock.monotonic() / 1000);
    if (second !== zone.second) {
      zone.second = second;
      zone.recorded = 0;
    }
    if (zone.recorded >= recordedPerSecond) {
      zone.suppressed += 1;
      return;
    }
    zone.recorded += 1;
    const { suppressed } = zone;
    zone.suppressed = 0;
    record(differenceEvent(seen, shadow, suppressed));
  }
}

/** One for the process. */
export function createShadowWatch(deps: WatchShadowDeps): ShadowWatch {
  return new Watch(deps);
}
