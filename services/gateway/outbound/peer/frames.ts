// Questions and verdicts between the flow's terms and the wire's. What the STS sends is checked like anything from
// outside: a verdict that lacks what it needs counts as no answer.
import { create } from '@bufbuild/protobuf';
import { fail, reasonOfNumber, type JsonValue } from '#mesh/failure';
import { parseStrictJson } from '#mesh/canonical';
import {
  AuthorizeRequestSchema,
  type Allowed as AllowedMessage,
  type AuthorizeRequest,
  type Injection as InjectionMessage,
  type Refused as RefusedMessage,
  type Verdict,
} from '#gen/caracal/sts/v1/sts_pb';
import type { Allowed, Answer, Challenge, Question } from '../../ports/authorizer.ts';

export interface AskedQuestion {
  readonly id: bigint;
  readonly deadlineMs: number;
  readonly question: Question;
  /** The stream has carried the mandate whole before. */
  readonly byDigest: boolean;
}

export function questionFrame({ id, deadlineMs, question, byDigest }: AskedQuestion): AuthorizeRequest {
  const { mandate, zoneId, resource, method, path, proven, requestId, traceparent, again = false } = question;
  const { approval, argumentsDigest = '' } = question;
  return create(AuthorizeRequestSchema, {
    frame: {
      case: 'question',
      value: {
        id,
        deadlineMs,
        presented: byDigest
          ? { case: 'mandateDigest', value: Buffer.from(mandate.digest, 'hex') }
          : { case: 'mandate', value: mandate.token },
        zoneId,
        resource,
        method,
        path,
        provenJkt: proven.jkt ?? '',
        provenX5tS256: proven.x5tS256 ?? '',
        requestId,
        traceparent,
        again,
        argumentsDigest,
        challengeId: approval?.id ?? '',
        challengeSecret: approval?.secret ?? '',
      },
    },
  });
}

export function cancelFrame(id: bigint): AuthorizeRequest {
  return create(AuthorizeRequestSchema, { frame: { case: 'cancel', value: { id } } });
}

export function heartbeatFrame(): AuthorizeRequest {
  return create(AuthorizeRequestSchema, { frame: { case: 'heartbeat', value: {} } });
}

export function helloFrame(hello: { random: Uint8Array; replicaId: string; mac: Uint8Array }): AuthorizeRequest {
  const { random, replicaId, mac } = hello;
  return create(AuthorizeRequestSchema, {
    // The message wants its bytes in buffers of their own.
    frame: { case: 'hello', value: { random: new Uint8Array(random), replicaId, mac: new Uint8Array(mac) } },
  });
}

/** What an STS says that has forgotten a mandate it was asked about by digest. */
const unknownDigest = 'unknown mandate digest';

/** True when the question has to be asked once more with the whole mandate. */
export function wantsWholeMandate({ outcome }: Verdict): boolean {
  if (outcome.case !== 'refused') return false;
  return reasonOfNumber(outcome.value.reason) === 'invalid_request' && outcome.value.description === unknownDigest;
}

/** @throws Failure sts_unavailable when the verdict is neither an allow nor a refusal that this build knows. */
export function answerOf({ outcome }: Verdict): Answer {
  switch (outcome.case) {
    case 'allowed':
      return allowed(outcome.value);
    case 'refused':
      return refused(outcome.value);
    case undefined:
      throw fail('sts_unavailable', { privateDetail: 'a verdict without outcome' });
  }
}

function credentialOf(injection: InjectionMessage | undefined): Allowed['credential'] {
  const { headerName = '', headerValue = '', identityMandate = '', queryName = '', queryValue = '' } = injection ?? {};
  const query = queryName === '' ? undefined : { name: queryName, value: queryValue };
  return { headerName, headerValue, identityMandate, query };
}

function allowed(message: AllowedMessage): Answer {
  const { injection } = message;
  if (message.eventId === '' || message.upstreamUrl === '') {
    throw fail('sts_unavailable', { privateDetail: 'an allow without event or upstream' });
  }
  return {
    kind: 'allowed',
    verdict: {
      eventId: message.eventId,
      scopes: message.scopes,
      credential: credentialOf(injection),
      credentialExpiresAtMs: Number(injection?.expiresAtMs ?? 0n) || undefined,
      upstreamUrl: message.upstreamUrl,
      allowedHosts: message.allowedHosts,
      reusable: message.reusable,
      validUntilMs: Number(message.validUntilMs),
      policyDigest: message.policyDigest,
      policySetId: message.policySetId,
      policySetVersionId: message.policySetVersionId,
      inputDigest: message.inputDigest,
      resourceVersion: Number(message.resourceVersion),
      delegationEpoch: Number(message.delegationEpoch),
    },
  };
}

function refused(message: RefusedMessage): Answer {
  return {
    kind: 'refused',
    refusal: {
      // A reason of a later release denies all the same.
      reason: reasonOfNumber(message.reason) ?? 'access_denied',
      description: message.description,
      diagnostics: readJson(message.diagnosticsJson),
      eventId: message.eventId,
      requiredScopes: message.requiredScopes,
      retryAfterMs: Number(message.retryAfterMs) || undefined,
      challenge: challengeOf(message.challenge),
    },
  };
}

function challengeOf(message: RefusedMessage['challenge']): Challenge | undefined {
  if (message === undefined) return undefined;
  const { id, type, secret, expiresAtMs } = message;
  return { id, type, secret, expiresAtMs: Number(expiresAtMs) };
}

// Diagnostics are a courtesy: what cannot be read is left out.
function readJson(text: string): JsonValue | undefined {
  if (text === '') return undefined;
  try {
    return parseStrictJson(text, { maxBytes: 8192, maxDepth: 16 });
  } catch {
    return undefined;
  }
}
