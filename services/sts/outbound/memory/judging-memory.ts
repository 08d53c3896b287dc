// The ports a decision rests on, in memory: anchors in a list, evidence in a list, and policy as a function.
import { fail } from '#mesh/failure';
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { AnchorRef } from '#mesh/mandate';
import type { AuditEventDraft } from '#mesh/trail';
import type { Evidence } from '../../ports/evidence.ts';
import type { PolicyEngine } from '../../ports/policy-engine.ts';
import type { Revocations } from '../../ports/revocations.ts';

export interface RevocationsMemory extends Revocations {
  usable: boolean;
  /** Writes an anchor with the next number. */
  revoke(zoneId: string, anchor: AnchorRef): void;
}

export function createRevocationsMemory(): RevocationsMemory {
  const anchors: { zoneId: string; kind: string; id: string }[] = [];
  return {
    usable: true,
    applied: () => anchors.length,
    assertUsable() {
      if (!this.usable) throw fail('revocation_stale');
    },
    revoke: (zoneId, { kind, id }) => void anchors.push({ zoneId, kind, id }),
    refuses: (zoneId, rev, references) =>
      anchors.find(
        (anchor, index) =>
          index + 1 > rev &&
          anchor.zoneId === zoneId &&
          references.some(({ kind, id }) => anchor.kind === kind && anchor.id === id),
      ),
  };
}

export interface EvidenceMemory extends Evidence {
  usable: boolean;
  readonly events: AuditEventDraft[];
}

export function createEvidenceMemory(): EvidenceMemory {
  const events: AuditEventDraft[] = [];
  return {
    usable: true,
    events,
    async emit(draft) {
      if (!this.usable) throw fail('audit_unavailable');
      events.push(draft);
      return { eventId: `event-${events.length}` };
    },
  };
}

/** Answers every policy of a set by one function of the input; `undefined` is a policy without answer. */
export function createPolicyEngineMemory(judge: (input: JsonObject) => JsonValue | undefined): PolicyEngine {
  return {
    async evaluate({ version, inputJson }) {
      const answer = judge(JSON.parse(inputJson) as JsonObject);
      const entries = version.policies.map((_, index): [string, JsonValue][] =>
        answer === undefined ? [] : [[String(index), answer]],
      );
      return { kind: 'answered', results: Object.fromEntries(entries.flat()), remembered: false };
    },
    validate: async () => [],
    isLoaded: async () => true,
  };
}

/** The answer of a policy that says `decision` and nothing else. */
export function policyAnswer(decision: 'allow' | 'deny' | 'abstain'): JsonObject {
  return { decision, evaluation_status: 'complete', determining_policies: [decision], diagnostics: [] };
}
