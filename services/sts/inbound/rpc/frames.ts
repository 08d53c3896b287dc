// Questions and verdicts between the wire's terms and the flow's: every field of a question against its rule.
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { AuthorizeResponseSchema } from '#gen/caracal/sts/v1/sts_pb';
import type { AuthorizeResponse, ChallengeSchema, Question } from '#gen/caracal/sts/v1/sts_pb';
import type { Reason } from '#gen/caracal/failure/v1/failure_pb';
import type { Failure } from '#mesh/failure';
import { isTextId, newId } from '#mesh/ids';
import { parseTraceparent } from '#mesh/telemetry';
import type { CallQuestion, CallVerdict } from '../../flows/authorize-call/call-question.ts';

type Frame = NonNullable<MessageInitShape<typeof AuthorizeResponseSchema>['frame']>;

/** Longest mandate, resource identifier and path anything of ours accepts. */
const maxMandate = 8192;
const maxResource = 512;
const maxPath = 8192;
/** sts.proto: 1 to 30000. */
const maxDeadlineMs = 30_000;
/** Ids have 36 characters and secrets 43; what is longer is neither. */
const maxChallenge = 128;
/** Diagnostics in a verdict are for a response header's worth of reading, not for a policy's whole output. */
const maxDiagnosticsBytes = 8192;

/** SHA-256 in base64url (RFC 7638 §3, RFC 8705 §3.1), or nothing. */
const thumbprint = /^(?:[A-Za-z0-9_-]{43})?$/;

export function frame(value: Frame): AuthorizeResponse {
  return create(AuthorizeResponseSchema, { frame: value });
}

/** The first rule a question breaks, or undefined. */
export function questionProblem(question: Question): string | undefined {
  const rules: readonly (readonly [boolean, string])[] = [
    [question.deadlineMs >= 1 && question.deadlineMs <= maxDeadlineMs, 'deadline_ms'],
    [isTextId(question.zoneId), 'zone_id'],
    [question.resource.length > 0 && question.resource.length <= maxResource, 'resource'],
    [/^[A-Z][A-Z0-9-]{0,31}$/.test(question.method), 'method'],
    [question.path.startsWith('/') && question.path.length <= maxPath && question.path.isWellFormed(), 'path'],
    [question.requestId === '' || isTextId(question.requestId), 'request_id'],
    [thumbprint.test(question.provenJkt), 'proven_jkt'],
    [thumbprint.test(question.provenX5tS256), 'proven_x5t_s256'],
    [/^([0-9a-f]{64})?$/.test(question.argumentsDigest), 'arguments_digest'],
    [(question.challengeId === '') === (question.challengeSecret === ''), 'challenge_secret'],
    [question.challengeId.length <= maxChallenge, 'challenge_id'],
    [question.challengeSecret.length <= maxChallenge, 'challenge_secret'],
  ];
  return rules.find(([holds]) => !holds)?.[1];
}

/** The flow's question; `mandate` is what was presented, whole. */
export function callQuestion(question: Question, mandate: string): CallQuestion {
  return {
    asked: {
      requestId: isTextId(question.requestId) ? question.requestId : newId(),
      traceId: parseTraceparent(question.traceparent)?.traceId,
    },
    mandate: mandate.length <= maxMandate ? mandate : '',
    zoneId: question.zoneId,
    resource: question.resource,
    method: question.method,
    path: question.path,
    proven: {
      ...(question.provenJkt === '' ? {} : { jkt: question.provenJkt }),
      ...(question.provenX5tS256 === '' ? {} : { x5tS256: question.provenX5tS256 }),
    },
    again: question.again,
    ...(question.argumentsDigest === '' ? {} : { argumentsDigest: question.argumentsDigest }),
    ...(question.challengeId === ''
      ? {}
      : { challenge: { id: question.challengeId, secret: question.challengeSecret } }),
  };
}

/** The challenge of `interaction_required`, from the details its failure carries; undefined for every other failure. */
function challengeOf({ reason, details }: Failure): MessageInitShape<typeof ChallengeSchema> | undefined {
  if (reason !== 'interaction_required') return undefined;
  const text = (name: string): string => {
    const value = details?.[name];
    return typeof value === 'string' ? value : '';
  };
  return {
    id: text('challenge_id'),
    type: text('challenge_type'),
    secret: text('challenge_secret'),
    expiresAtMs: BigInt(Date.parse(text('challenge_expires_at')) || 0),
  };
}

function diagnosticsJson(diagnostics: readonly object[]): string {
  if (diagnostics.length === 0) return '';
  const text = JSON.stringify(diagnostics);
  return text.length <= maxDiagnosticsBytes ? text : '';
}

/** A refusal that never became a decision: nobody waits for evidence of it. */
export function refusalFrame(id: bigint, failure: Failure): AuthorizeResponse {
  const refused = { reason: failure.entry.number as Reason, description: failure.description };
  return frame({ case: 'verdict', value: { id, outcome: { case: 'refused', value: refused } } });
}

export function verdictFrame(id: bigint, verdict: CallVerdict): AuthorizeResponse {
  if (verdict.kind === 'refused') {
    const { failure } = verdict;
    const challenge = challengeOf(failure);
    const value = {
      reason: failure.entry.number as Reason,
      description: failure.description,
      diagnosticsJson: diagnosticsJson(verdict.diagnostics),
      eventId: verdict.eventId,
      requiredScopes: [...verdict.requiredScopes],
      retryAfterMs: BigInt(Math.ceil(failure.retryAfterMs ?? 0)),
      ...(challenge === undefined ? {} : { challenge }),
    };
    return frame({ case: 'verdict', value: { id, outcome: { case: 'refused', value } } });
  }
  const { injection } = verdict;
  const value = {
    eventId: verdict.eventId,
    scopes: [...verdict.scopes],
    injection: {
      headerName: injection.headerName,
      headerValue: injection.headerValue,
      queryName: injection.queryName,
      queryValue: injection.queryValue,
      identityMandate: injection.identityMandate,
      expiresAtMs: BigInt(Math.floor(injection.expiresAtMs)),
    },
    upstreamUrl: verdict.upstreamUrl,
    allowedHosts: [...verdict.allowedHosts],
    reusable: verdict.reusable,
    validUntilMs: BigInt(verdict.validUntilMs),
    policyDigest: verdict.policyDigest,
    policySetId: verdict.policySetId,
    policySetVersionId: verdict.policySetVersionId,
    inputDigest: verdict.inputDigest,
    resourceVersion: BigInt(verdict.resourceVersion),
    delegationEpoch: BigInt(verdict.delegationEpoch),
  };
  return frame({ case: 'verdict', value: { id, outcome: { case: 'allowed', value } } });
}
