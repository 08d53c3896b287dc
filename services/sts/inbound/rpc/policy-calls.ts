// The calls about policy: may a set be stored, which one is enforced, and what would a candidate decide. Each is parsed field
// by field and answered in the contract's words.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type {
  PolicyCandidate as CandidateMessage,
  PolicySource as SourceMessage,
  ReplayBatch,
  ReplayPolicyRequest,
  ReplayPolicyResponseSchema,
  StsService,
} from '#gen/caracal/sts/v1/sts_pb';
import { canonicalJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { PolicyVersionId, ZoneId } from '#mesh/ids';
import { parseFields } from '#mesh/rpc';
import type { FieldReader } from '#mesh/rpc';
import type { PolicySetCandidate, PolicySetStatus } from '../../flows/check-policy-set.ts';
import type { ReplayInput, ReplayStep, Simulation } from '../../flows/try-policy.ts';

/** The flows behind the calls, bound to their ports. */
export interface PolicyFlows {
  readonly validatePolicySet: (candidate: PolicySetCandidate) => Promise<readonly PolicyProblemFound[]>;
  readonly policySetStatus: (zoneId: string) => Promise<PolicySetStatus>;
  readonly simulatePolicy: (candidate: PolicySetCandidate, input: JsonObject) => Promise<Simulation>;
  readonly replayPolicy: (
    candidate: PolicySetCandidate,
    batches: AsyncIterable<readonly ReplayInput[]>,
  ) => AsyncGenerator<ReplayStep, void, undefined>;
}

export interface PolicyProblemFound {
  readonly policyVersionId: string;
  readonly line: number;
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

type PolicyCalls = Pick<
  ServiceImpl<typeof StsService>,
  'validatePolicy' | 'policyStatus' | 'simulatePolicy' | 'replayPolicy'
>;

/** Bounds of the contract's comments (sts.proto). */
const maxPolicies = 256;
const maxPolicyBytes = 256 * 1024;
const maxParamsBytes = 256 * 1024;
const maxInputBytes = 256 * 1024;
/** An input that was recorded may have been as large as an event takes (#mesh/trail). */
const maxRecordedInputCharacters = 512 * 1024;
const maxBatch = 512;
const digestRule = { max: 64, pattern: /^[0-9a-f]{64}$/, rule: 'a SHA-256 in hex' };

interface CandidateFields {
  readonly zoneId: string;
  readonly policies: readonly SourceMessage[];
  readonly paramsJson: string;
}

function readCandidate(fields: FieldReader, message: CandidateFields): PolicySetCandidate {
  const noParams: JsonObject = {};
  return {
    zoneId: fields.id<ZoneId>('zone_id', message.zoneId),
    policies: fields.list('policies', message.policies, {
      min: 1,
      max: maxPolicies,
      each: (path, policy) => ({
        policyVersionId: fields.id<PolicyVersionId>(`${path}.policy_version_id`, policy.policyVersionId),
        name: fields.text(`${path}.name`, policy.name, { max: 256 }),
        content: fields.text(`${path}.content`, policy.content, { max: maxPolicyBytes }),
      }),
    }),
    params: fields.jsonObject('params_json', message.paramsJson, { maxBytes: maxParamsBytes }) ?? noParams,
  };
}

function presentCandidate(candidate: CandidateMessage | undefined): CandidateMessage {
  if (candidate === undefined) throw fail('invalid_request', { fields: [{ path: 'candidate', rule: 'required' }] });
  return candidate;
}

function readBatch(batch: ReplayBatch): readonly ReplayInput[] {
  return parseFields((fields) =>
    fields.list('inputs', batch.inputs, {
      min: 1,
      max: maxBatch,
      each: (path, { inputDigest, inputJson }) => ({
        inputDigest: fields.text(`${path}.input_digest`, inputDigest, digestRule),
        inputJson: fields.optionalText(`${path}.input_json`, inputJson, { max: maxRecordedInputCharacters }),
      }),
    }),
  );
}

async function* batchesOf(frames: AsyncIterable<ReplayPolicyRequest>): AsyncGenerator<readonly ReplayInput[]> {
  for await (const { frame } of frames) {
    if (frame.case !== 'batch') throw fail('invalid_request', { fields: [{ path: 'batch', rule: 'required' }] });
    yield readBatch(frame.value);
  }
}

/** The frames after the first, whose reader stays open. */
async function* restOf<T>(frames: AsyncIterator<T>): AsyncGenerator<T> {
  for (let next = await frames.next(); next.done !== true; next = await frames.next()) yield next.value;
}

function stepMessage(step: ReplayStep): MessageInitShape<typeof ReplayPolicyResponseSchema> {
  if (step.kind === 'checked') {
    return { frame: { case: 'checked', value: { problems: step.problems.map((problem) => ({ ...problem })) } } };
  }
  const answers = step.answers.map(({ kind, status, determining }) => ({
    decision: kind,
    evaluationStatus: status,
    determiningPolicies: [...determining],
  }));
  return { frame: { case: 'answers', value: { answers, evaluated: step.evaluated } } };
}

/** Answers the calls about policy. */
export function policyHandlers(flows: PolicyFlows): PolicyCalls {
  return {
    async validatePolicy(request) {
      const candidate = parseFields((fields) => readCandidate(fields, request));
      const problems = await flows.validatePolicySet(candidate);
      return { problems: problems.map((problem) => ({ ...problem })) };
    },

    async policyStatus(request) {
      const { zoneId } = parseFields((fields) => ({ zoneId: fields.id<ZoneId>('zone_id', request.zoneId) }));
      const status = await flows.policySetStatus(zoneId);
      return { policySetVersionId: status.versionId, policyDigest: status.digest, loaded: status.loaded };
    },

    async simulatePolicy(request) {
      const message = presentCandidate(request.candidate);
      const { candidate, input } = parseFields((fields) => ({
        candidate: readCandidate(fields, message),
        input: fields.jsonObject('input_json', request.inputJson, { maxBytes: maxInputBytes }),
      }));
      if (input === undefined) throw fail('invalid_request', { fields: [{ path: 'input_json', rule: 'required' }] });
      const simulation = await flows.simulatePolicy(candidate, input);
      if (simulation.kind === 'refused') return { problems: simulation.problems.map((problem) => ({ ...problem })) };
      const { decision, inputDigest } = simulation;
      return {
        decision: decision.kind,
        evaluationStatus: decision.status,
        determiningPolicies: [...decision.determining],
        diagnosticsJson: canonicalJson([...decision.diagnostics]),
        inputDigest,
      };
    },

    async *replayPolicy(requests, context) {
      const frames = requests[Symbol.asyncIterator]();
      const first = await frames.next();
      const frame = first.done === true ? undefined : first.value.frame;
      const message = presentCandidate(frame?.case === 'candidate' ? frame.value : undefined);
      const candidate = parseFields((fields) => readCandidate(fields, message));
      for await (const step of flows.replayPolicy(candidate, batchesOf(restOf(frames)))) {
        context.signal.throwIfAborted();
        yield stepMessage(step);
      }
    },
  };
}
