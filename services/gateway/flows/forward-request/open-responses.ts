// All calls whose answers are still open, found by what may end them. Most live for milliseconds, so an answer is put
// into the index of anchors only when it has been open for a while; younger ones are looked through one by one.
import type { AnchorRef } from '#mesh/mandate';
import type { Allowed } from '../../ports/authorizer.ts';
import type { RevokedAnchor } from '../../ports/revocations.ts';
import { questionOf } from './decide.ts';
import type { Exchange, ForwardDeps } from './exchange.ts';
import { OpenResponse, type CutReason, type Ready } from './open-response.ts';

// Younger answers are not indexed: at 2,000 calls a second that is a few hundred to look through per anchor.
const indexedAfterMs = 200;
// An open answer is decided again at least every 60 s; asking 10 s early leaves room for an answer that is slow to come.
const decideAgainAfterMs = 50_000;
const undecidedAfterMs = 60_000;
// After a change it must be decided within the staleness limit of the installation.
const undecidedAfterChangeMs = 5000;
// Asked again after a question that got no answer.
const askAgainAfterMs = 500;
// Questions about open answers under way at once, so that a change of policy does not drown new calls; and of one zone,
// so that the open answers of another are decided in time too.
const maxDeciding = 64;
const maxDecidingOfZone = 48;

/** What changed: everything of a zone, or one resource of it. */
export interface Change {
  readonly zoneId: string;
  /** Only answers of this resource; undefined means the whole zone. */
  readonly resourceId?: string | undefined;
}

const indexKey = (zoneId: string, anchor: AnchorRef): string => `${anchor.kind}\n${zoneId}\n${anchor.id}`;

export class OpenResponses {
  readonly #deps: ForwardDeps;
  readonly #young = new Set<OpenResponse>();
  readonly #old = new Set<OpenResponse>();
  readonly #index = new Map<string, Set<OpenResponse>>();
  #deciding = 0;
  readonly #decidingOfZone = new Map<string, number>();

  constructor(deps: ForwardDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  open(exchange: Exchange, ready: Ready): OpenResponse {
    const now = this.#deps.clock.monotonic();
    // What was heard of between the question and now concerns this answer as it does those that were open.
    const isCurrent = this.#isCurrent(exchange, ready.verdict) && !this.#hasChangedSince(exchange);
    const [againMs, undecidedMs] = isCurrent ? [decideAgainAfterMs, undecidedAfterMs] : [0, undecidedAfterChangeMs];
    const response = new OpenResponse(
      { exchange, ready, decideAgainAtMs: now + againMs, undecidedAtMs: now + undecidedMs },
      this.#deps,
      (closed) => this.#remove(closed),
    );
    this.#young.add(response);
    return response;
  }

  #hasChangedSince({ resource, generation }: Exchange): boolean {
    return resource === undefined || this.#deps.verdicts.generation(resource.zoneId) !== generation;
  }

  /** Whether the STS decided on what this Gateway knows to be in force; one that lags behind has decided nothing new. */
  #isCurrent({ resource }: Exchange, verdict: Allowed): boolean {
    if (resource === undefined) return false;
    const { catalogue, verdicts } = this.#deps;
    const known = catalogue.byIdentifier(resource.zoneId, resource.identifier);
    if (known === undefined || verdict.resourceVersion < known.version) return false;
    return !verdicts.isOutdated(resource.zoneId, verdict.policySetVersionId);
  }

  /** Cuts every answer that the anchor refuses. */
  revoke(anchor: RevokedAnchor): void {
    const indexed = this.#index.get(indexKey(anchor.zoneId, anchor));
    for (const response of [...(indexed ?? []), ...this.#young]) {
      const { bearer } = response.ready;
      const { zone_id: zoneId, rev } = bearer.mandate.claims;
      // A key that leaked signs any `rev`.
      if (zoneId !== anchor.zoneId || (rev >= anchor.number && anchor.kind !== 'zone_key')) continue;
      const hit = bearer.anchors.some(({ kind, id }) => kind === anchor.kind && id === anchor.id);
      if (hit) response.cut('revoked');
    }
  }

  cutAll(reason: CutReason): void {
    for (const response of [...this.#young, ...this.#old]) response.cut(reason);
  }

  /** What was decided may no longer hold: ask again now, and end what is not allowed again in time. */
  changed(change: Change | 'everything'): void {
    const now = this.#deps.clock.monotonic();
    for (const response of [...this.#young, ...this.#old]) {
      if (!concerns(change, response)) continue;
      response.changes += 1;
      response.decideAgainAtMs = now;
      response.undecidedAtMs = Math.min(response.undecidedAtMs, now + undecidedAfterChangeMs);
    }
  }

  /** Called several times a second: time limits, and questions that are due. */
  look(): void {
    const monotonicMs = this.#deps.clock.monotonic();
    const nowMs = this.#deps.clock.now();
    for (const response of [...this.#young, ...this.#old]) {
      response.look(monotonicMs, nowMs);
      if (response.isDone) continue;
      if (monotonicMs - response.openedAtMs >= indexedAfterMs) this.#settle(response);
      if (response.decideAgainAtMs <= monotonicMs) this.#decideAgain(response);
    }
  }

  #settle(response: OpenResponse): void {
    if (!this.#young.delete(response)) return;
    this.#old.add(response);
    const { bearer } = response.ready;
    for (const anchor of bearer.anchors) {
      const key = indexKey(bearer.mandate.claims.zone_id, anchor);
      const found = this.#index.get(key);
      if (found === undefined) this.#index.set(key, new Set([response]));
      else found.add(response);
    }
  }

  #remove(response: OpenResponse): void {
    if (this.#young.delete(response) || !this.#old.delete(response)) return;
    const { bearer } = response.ready;
    for (const anchor of bearer.anchors) {
      const key = indexKey(bearer.mandate.claims.zone_id, anchor);
      const found = this.#index.get(key);
      found?.delete(response);
      if (found?.size === 0) this.#index.delete(key);
    }
  }

  #decideAgain(response: OpenResponse): void {
    const question = questionOf(response.exchange);
    if (response.deciding || question === undefined || !this.#mayDecide(question.zoneId)) return;
    response.deciding = true;
    this.#countDeciding(question.zoneId, 1);
    const askedAtMs = this.#deps.clock.monotonic();
    // A change heard of while the question is under way sets this anew and is not undone by its answer.
    response.decideAgainAtMs = askedAtMs + decideAgainAfterMs;
    const { changes } = response;
    const settled = (): void => {
      response.deciding = false;
      this.#countDeciding(question.zoneId, -1);
    };
    const soon = (): void => {
      response.decideAgainAtMs = Math.min(response.decideAgainAtMs, askedAtMs + askAgainAfterMs);
    };
    this.#deps.authorizer.ask({ ...question, again: true }).answer.then(
      (answer) => {
        settled();
        if (answer.kind === 'refused') response.cut('denied_anew');
        else if (!this.#isCurrent(response.exchange, answer.verdict)) soon();
        else if (response.changes === changes) response.undecidedAtMs = askedAtMs + undecidedAfterMs;
      },
      () => {
        settled();
        soon();
      },
    );
  }

  #mayDecide(zoneId: string): boolean {
    return this.#deciding < maxDeciding && (this.#decidingOfZone.get(zoneId) ?? 0) < maxDecidingOfZone;
  }

  #countDeciding(zoneId: string, change: 1 | -1): void {
    this.#deciding += change;
    const count = (this.#decidingOfZone.get(zoneId) ?? 0) + change;
    if (count > 0) this.#decidingOfZone.set(zoneId, count);
    else this.#decidingOfZone.delete(zoneId);
  }
}

function concerns(change: Change | 'everything', response: OpenResponse): boolean {
  if (change === 'everything') return true;
  const { resource } = response.exchange;
  if (resource?.zoneId !== change.zoneId) return false;
  return change.resourceId === undefined || change.resourceId === resource.id;
}
