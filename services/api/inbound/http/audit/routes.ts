// The ledger over HTTP: search, the events of one request, and verification, streamed on request.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, pageAnswer } from '../route.ts';
import { momentOf } from '../moment.ts';
import { closing, sendLines, wantsLines } from '../progress-lines.ts';
import * as form from '../schemas.ts';
import { toWire } from '../wire-names.ts';
import { LedgerEvent, SearchQuery, Verified, VerifyQuery, requestParams } from './schemas.ts';

const tag = 'audit';
const base = '/v1/zones/:zone_id/audit';
const read = { tag, access: 'read', reach: 'zone' } as const;
/** More findings than this in one answer help nobody; the count goes on. */
const maxFindings = 1000;
const defaultLimit = 100;

type Progress = ReturnType<ApiFlows['audit']['verify']>;

export function addAuditRoutes(router: Router, flows: ApiFlows['audit']): void {
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'Search the ledger, newest first',
    params: form.zoneParams,
    query: SearchQuery,
    response: { 200: form.pageOf(LedgerEvent) },
    handle: async ({ zone, query }) => {
      const search = {
        sinceMs: query.since === undefined ? undefined : momentOf(query.since, 'since'),
        untilMs: query.until === undefined ? undefined : momentOf(query.until, 'until'),
        decision: query.decision,
        eventTypes: query.event_type?.split(',') ?? [],
        requestId: query.request_id,
        applicationId: query.application_id,
        limit: query.limit ?? defaultLimit,
        cursor: query.cursor,
      };
      return pageAnswer(await flows.search(zone, search));
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${base}/by-request/:request_id` },
    summary: 'Every event of one request, in the order of the chain',
    params: requestParams,
    response: { 200: form.pageOf(LedgerEvent) },
    handle: async ({ zone, params }) => pageAnswer(await flows.byRequest(zone, params.request_id)),
  });
  for (const method of ['GET', 'POST'] as const) {
    addRoute(router, {
      ...{ ...read, method, url: `${base}/verify` },
      summary: 'Recompute the chain; with Accept: application/x-ndjson the progress line by line',
      params: form.zoneParams,
      query: VerifyQuery,
      response: { 200: Verified },
      handle: async ({ zone, query, request, reply }) => {
        const range = { fromSeq: query.from_seq ?? 0, toSeq: query.to_seq ?? 0, signal: closing(reply) };
        const progress = flows.verify(zone, range);
        if (wantsLines(request)) await sendLines(reply, progress);
        return { status: 200, body: reply.sent ? undefined : await summary(progress) };
      },
    });
  }
}

async function summary(progress: Progress): Promise<object> {
  const findings: unknown[] = [];
  let last = { checked: 0, total: 0, findingCount: 0, done: false };
  for await (const step of progress) {
    findings.push(...step.findings.slice(0, maxFindings - findings.length));
    last = step;
  }
  const { checked, total, findingCount, done } = last;
  return toWire({ verified: done && findingCount === 0, checked, total, findingCount, findings, done });
}
