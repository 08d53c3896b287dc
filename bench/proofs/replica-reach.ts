// What an administrator changes, at every replica at once: a policy, a signing key, a revocation. Each call waits until all
// replicas have confirmed, and from its answer on every one of them is asked, one by one and many at a time.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '#mesh/ids';
import type { GovernedZone, Seen } from './governed-zone.ts';
import type { ProofInstallation } from './installation.ts';
import { kidOf } from './leaked-key.ts';

export type ReachKind = 'policy' | 'zone key' | 'revocation';
export const reachKinds: readonly ReachKind[] = ['policy', 'zone key', 'revocation'];

/** One change as it was seen. */
export interface Reach {
  readonly kind: ReachKind;
  /** From the request until its answer, which says that every replica has it. */
  readonly elapsedMs: number;
  /** Replicas that confirmed. */
  readonly points: number;
}

export interface ReachDrill {
  change(kind: ReachKind): Promise<Reach>;
  /** What a replica still did after the answer, and changes that were not answered as they should be. */
  readonly problems: readonly string[];
  /** Questions asked of replicas after an answer. */
  readonly asked: () => number;
}

/** Of each replica after each change: it must not be one lucky request. */
const questions = 8;
const subjectType = 'urn:ietf:params:oauth:token-type:access_token';
const waiting = 'timeout_ms=20000';

const denyAll = `package caracal.authz

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["closed"], "diagnostics": []}
`;

export async function startReachDrill(installation: ProofInstallation, zone: GovernedZone): Promise<ReachDrill> {
  const drill = new Drill(installation, zone);
  await drill.prepare();
  return {
    change: async (kind) => drill.change(kind),
    problems: drill.problems,
    asked: () => drill.asked,
  };
}

class Drill {
  readonly #installation: ProofInstallation;
  readonly #zone: GovernedZone;
  readonly problems: string[] = [];
  asked = 0;
  #setPath = '';
  #open = '';
  #closed = '';

  constructor(installation: ProofInstallation, zone: GovernedZone) {
    this.#installation = installation;
    this.#zone = zone;
  }

  /** A version that denies everything, beside the one the zone enforces. */
  async prepare(): Promise<void> {
    const { zoneId } = this.#zone.facts;
    const sets = await this.#did('GET', `/zones/${zoneId}/policy-sets`, undefined);
    const [set] = sets.body['items'] as readonly { readonly id: string; readonly active_version_id: string }[];
    if (!set) throw new Error('the zone has no policy set');
    this.#setPath = `/zones/${zoneId}/policy-sets/${set.id}`;
    this.#open = set.active_version_id;
    const name = `closed-${randomBytes(4).toString('hex')}`;
    const policy = await this.#did('POST', `/zones/${zoneId}/policies`, { name, content: denyAll });
    const { id } = policy.body['version'] as { readonly id: string };
    const version = await this.#did('POST', `${this.#setPath}/versions`, { manifest: [{ policy_version_id: id }] });
    this.#closed = String(version.body['id']);
  }

  async change(kind: ReachKind): Promise<Reach> {
    switch (kind) {
      case 'policy':
        return this.#policy();
      case 'zone key':
        return this.#zoneKey();
      case 'revocation':
        return this.#revocation();
    }
  }

  async #policy(): Promise<Reach> {
    const closed = await this.#activate(this.#closed);
    await this.#expectAtEverySts('policy_denied');
    const open = await this.#activate(this.#open);
    await this.#expectAtEverySts('served');
    return { ...open, elapsedMs: Math.max(closed.elapsedMs, open.elapsedMs) };
  }

  async #activate(versionId: string): Promise<Reach> {
    const { seen, elapsedMs } = await this.#timed(`${this.#setPath}/activate?wait=propagated&${waiting}`, {
      version_id: versionId,
    });
    if (seen.body['propagated'] !== true) this.problems.push(`an activation was answered ${JSON.stringify(seen.body)}`);
    return { kind: 'policy', elapsedMs, points: Number(seen.body['points']) };
  }

  async #zoneKey(): Promise<Reach> {
    const held = await this.#mintAtEverySts();
    const path = `/zones/${this.#zone.facts.zoneId}/keys/rotate?wait=applied&${waiting}`;
    const { seen, elapsedMs } = await this.#timed(path, { retire_previous: true, reason: 'drill' });
    const kid = String(seen.body['id']);
    for (const mandate of await this.#mintAtEverySts()) {
      if (kidOf(mandate) !== kid)
        this.problems.push(`a replica signed with ${kidOf(mandate)} after the rotation to ${kid}`);
    }
    await this.#expectRefused('a mandate of the retired key', held);
    return { kind: 'zone key', elapsedMs, points: this.#pointsOf(seen) };
  }

  async #revocation(): Promise<Reach> {
    const { applicationId, zoneId } = this.#zone.facts;
    const held = await this.#mintAtEverySts();
    const { seen, elapsedMs } = await this.#timed(`/zones/${zoneId}/revocations?wait=applied&${waiting}`, {
      anchors: [{ kind: 'application', id: applicationId }],
      reason: 'drill',
    });
    await this.#expectRefused('a revoked mandate', held);
    await this.#expectAtEverySts('served');
    return { kind: 'revocation', elapsedMs, points: this.#pointsOf(seen) };
  }

  #pointsOf(seen: Seen): number {
    if (seen.body['applied'] !== true) this.problems.push(`a change was answered ${JSON.stringify(seen.body)}`);
    return Number((seen.body['barrier'] as { points?: number } | undefined)?.points ?? seen.body['points']);
  }

  async #timed(path: string, body: object): Promise<{ seen: Seen; elapsedMs: number }> {
    const startedMs = performance.now();
    const seen = await this.#did('POST', path, body);
    return { seen, elapsedMs: performance.now() - startedMs };
  }

  async #did(method: 'GET' | 'POST', path: string, body: object | undefined): Promise<Seen> {
    const seen = await this.#zone.admin(method, path, body);
    if (seen.status < 200 || seen.status > 299) {
      throw new Error(`${method} ${path} was answered ${seen.status} ${JSON.stringify(seen.body)}`);
    }
    return seen;
  }

  #wanted(): { readonly resource: string; readonly scope: string } {
    return { resource: this.#zone.facts.resource, scope: 'reports:read' };
  }

  /** An ambient mandate of each STS; a rotation may have a replica ask for another try once. */
  async #mintAtEverySts(): Promise<readonly string[]> {
    const mints = this.#installation.replicaUrls('sts').map(async (url) => {
      for (let attempt = 0; attempt < questions; attempt += 1) {
        const { body } = await this.#zone.token(this.#wanted(), newId(), url);
        if (typeof body['access_token'] === 'string') return body['access_token'];
        await sleep(50);
      }
      throw new Error(`no mandate at ${url}`);
    });
    return Promise.all(mints);
  }

  /** Every question of every STS must come to this. */
  async #expectAtEverySts(reason: string): Promise<void> {
    const answers = this.#installation.replicaUrls('sts').flatMap((url, replica) =>
      Array.from({ length: questions }, async () => {
        this.asked += 1;
        const seen = await this.#zone.token(this.#wanted(), newId(), url);
        if (seen.reason !== reason) {
          this.problems.push(`STS ${replica + 1} answered ${seen.status} ${seen.reason} where ${reason} was due`);
        }
      }),
    );
    await Promise.all(answers);
  }

  /** At every Gateway, and at every STS as a subject. */
  async #expectRefused(what: string, mandates: readonly string[]): Promise<void> {
    const judge = (where: string, { status, reason }: Seen): void => {
      this.asked += 1;
      if (status !== 401) this.problems.push(`${where} answered ${status} ${reason} to ${what}`);
    };
    await Promise.all(
      mandates.flatMap((mandate) => [
        ...this.#installation.replicaUrls('gateway').map(async (gatewayUrl, replica) => {
          judge(`Gateway ${replica + 1}`, await this.#zone.call(mandate, { gatewayUrl }));
        }),
        ...this.#installation.replicaUrls('sts').map(async (url, replica) => {
          const fields = { ...this.#wanted(), subject_token: mandate, subject_token_type: subjectType };
          judge(`STS ${replica + 1}`, await this.#zone.token(fields, newId(), url));
        }),
      ]),
    );
  }
}
