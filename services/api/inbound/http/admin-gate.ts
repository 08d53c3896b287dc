// The gate of every route under /v1: who asks, may they, and not too often. It runs before a body is read.
import type { FastifyRequest } from 'fastify';
import { fail, Failure } from '#mesh/failure';
import { parseBearer } from '#mesh/http';
import { connectionOf } from '#mesh/identity';
import type { RateLimiter } from '#mesh/redis';
import { type Access, type Admin, judgeAdmin } from '../../domain/admin.ts';
import type { ApiMetrics } from '../../metrics.ts';

export interface GateOptions {
  /** @throws invalid_admin_token, store_unavailable. */
  readonly authenticate: (bearer: string | undefined) => Promise<Admin>;
  readonly limits: RateLimiter;
  readonly requestsPerMinute: number;
  readonly authenticationFailuresPerMinute: number;
  readonly metrics: ApiMetrics;
}

export interface RouteNeed {
  readonly access: Access;
  /** `zone`: the zone of the path. `global`: the installation; no zone token passes. */
  readonly reach: 'zone' | 'global';
}

export interface AdminGate {
  /** @throws invalid_admin_token, rate_limited, admin_token_zone_mismatch, admin_token_read_only, permission_denied. */
  admit(request: FastifyRequest, need: RouteNeed): Promise<Admin>;
}

const windowSeconds = 60;
const onlyApprovers = 'Only a token with the capability approve and a named sub decides approvals.';

export function createAdminGate(options: GateOptions): AdminGate {
  const { limits, metrics } = options;

  /** Says "later" in place of "no" to an address that guesses. Who has the right token is never kept waiting by it. */
  async function refuse(failure: Failure, address: string): Promise<never> {
    if (failure.reason !== 'invalid_admin_token') throw failure;
    metrics.authenticationFailures.inc();
    const limit = options.authenticationFailuresPerMinute;
    const verdict = await limits.take({ key: `api:auth:${address}`, limit, windowSeconds });
    if (verdict.allowed) throw failure;
    metrics.limited.inc({ limit: 'authentication' });
    throw fail('rate_limited', { retryAfterMs: verdict.retryAfterMs });
  }

  async function authenticate(request: FastifyRequest): Promise<Admin> {
    try {
      return await options.authenticate(parseBearer(request.headers.authorization));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return refuse(error, connectionOf(request.raw)?.remoteAddress ?? '');
    }
  }

  return {
    admit: async (request, need) => {
      const admin = await authenticate(request);
      const limit = options.requestsPerMinute;
      const verdict = await limits.take({ key: `api:actor:${admin.tokenId}`, limit, windowSeconds });
      if (!verdict.allowed) {
        metrics.limited.inc({ limit: 'actor' });
        throw fail('rate_limited', { retryAfterMs: verdict.retryAfterMs });
      }
      const zoneId = need.reach === 'zone' ? zoneOf(request) : undefined;
      const judged = judgeAdmin(admin, { zoneId, access: need.access });
      if (judged === 'permission_denied') throw fail(judged, { description: onlyApprovers });
      if (judged !== 'allowed') throw fail(judged);
      return admin;
    },
  };
}

/** The zone of the path; a malformed one is nobody's and is refused by the schema later, for global tokens. */
function zoneOf(request: FastifyRequest): string {
  const { zone_id: zoneId } = request.params as { readonly zone_id?: string };
  return zoneId ?? '';
}
