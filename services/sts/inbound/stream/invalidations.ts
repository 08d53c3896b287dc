// What the invalidation streams say, as drops: each payload is read by its contract, and one that cannot be read drops
// everything of its kind, because nobody can say what it meant.
import { fromJson } from '@bufbuild/protobuf';
import type { DescMessage, JsonValue as ProtoJson, MessageShape } from '@bufbuild/protobuf';
import {
  DelegationInvalidationSchema,
  KeysInvalidationSchema,
  PolicyInvalidationSchema,
  ResourceInvalidationSchema,
} from '#gen/caracal/event/v1/event_pb';
import type { JsonValue } from '#mesh/failure';

/** What a stream's entries make the service forget. */
export interface DropTargets {
  readonly resourceChanged: (zoneId: string, kind: string, id: string) => void;
  readonly allResources: () => void;
  readonly policyChanged: (zoneId: string) => void;
  readonly allPolicies: () => void;
  readonly delegationsChanged: (change: {
    readonly zoneId: string;
    readonly epoch: number;
    readonly sessionIds: readonly string[];
    readonly edgeIds: readonly string[];
  }) => void;
  readonly allDelegations: () => void;
  readonly keysChanged: (zoneId: string) => void;
  readonly allKeys: () => void;
}

type InvalidationStream =
  | 'caracal.policy.invalidate'
  | 'caracal.keys.invalidate'
  | 'caracal.resources.invalidate'
  | 'caracal.delegations.invalidate';

export interface StreamHandling {
  readonly stream: InvalidationStream;
  readonly onEntry: (payload: JsonValue) => void;
  readonly onReset: () => void;
}

function reader<S extends DescMessage>(
  schema: S,
  handle: (message: MessageShape<S>) => void,
  onReset: () => void,
): Pick<StreamHandling, 'onEntry' | 'onReset'> {
  return {
    onReset,
    onEntry(payload) {
      let message: MessageShape<S>;
      try {
        message = fromJson(schema, payload as ProtoJson, { ignoreUnknownFields: true });
      } catch {
        onReset();
        return;
      }
      handle(message);
    },
  };
}

/** How each stream is handled. */
export function invalidationHandling(drops: DropTargets): readonly StreamHandling[] {
  return [
    {
      stream: 'caracal.resources.invalidate',
      ...reader(
        ResourceInvalidationSchema,
        ({ zoneId, kind, id }) => drops.resourceChanged(zoneId, kind, id),
        drops.allResources,
      ),
    },
    {
      stream: 'caracal.policy.invalidate',
      ...reader(PolicyInvalidationSchema, ({ zoneId }) => drops.policyChanged(zoneId), drops.allPolicies),
    },
    {
      stream: 'caracal.keys.invalidate',
      ...reader(KeysInvalidationSchema, ({ zoneId }) => drops.keysChanged(zoneId), drops.allKeys),
    },
    {
      stream: 'caracal.delegations.invalidate',
      ...reader(
        DelegationInvalidationSchema,
        ({ zoneId, epoch, sessionIds, edgeIds }) =>
          drops.delegationsChanged({ zoneId, epoch: Number(epoch), sessionIds, edgeIds }),
        drops.allDelegations,
      ),
    },
  ];
}
