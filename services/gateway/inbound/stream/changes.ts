// Reads the invalidation streams' entries as the changes they announce. The signature and the order were checked below.
import { fromJson, type DescMessage, type JsonValue as ProtoJson, type MessageShape } from '@bufbuild/protobuf';
import {
  DelegationInvalidationSchema,
  KeysInvalidationSchema,
  PolicyInvalidationSchema,
  ResourceInvalidationSchema,
} from '#gen/caracal/event/v1/event_pb';
import type { JsonValue } from '#mesh/failure';
import type { InvalidationTailOptions } from '#mesh/revocation';
import type { NoteChange } from '../../flows/note-change.ts';

type Handlers = Pick<InvalidationTailOptions, 'stream' | 'onEntry' | 'onReset'>;

// A field of a later release is passed over; the ones known are what this build acts on.
function read<S extends DescMessage>(schema: S, payload: JsonValue): MessageShape<S> {
  return fromJson(schema, payload as ProtoJson, { ignoreUnknownFields: true });
}

/** What each stream's entries do; an entry that cannot be read throws, and its stream then reads anew. */
export function changeHandlers(note: NoteChange): readonly Handlers[] {
  return [
    {
      stream: 'caracal.policy.invalidate',
      onEntry: (payload) => note.policyChanged(read(PolicyInvalidationSchema, payload)),
      onReset: () => note.policyUnknown(),
    },
    {
      stream: 'caracal.resources.invalidate',
      onEntry: (payload) => note.resourcesChanged(read(ResourceInvalidationSchema, payload)),
      onReset: async () => await note.resourcesUnknown(),
    },
    {
      stream: 'caracal.delegations.invalidate',
      onEntry: (payload) => {
        const { zoneId, epoch } = read(DelegationInvalidationSchema, payload);
        note.delegationsChanged({ zoneId, epoch: Number(epoch) });
      },
      onReset: () => note.policyUnknown(),
    },
    {
      stream: 'caracal.keys.invalidate',
      onEntry: (payload) => note.keysChanged(read(KeysInvalidationSchema, payload)),
      onReset: () => note.keysUnknown(),
    },
  ];
}
