// What a change of policy, resources, delegations or keys means here: what was remembered is forgotten, and answers that
// are open are decided again.
import type { VerdictMemory } from '../domain/verdict-memory.ts';
import type { Allowed } from '../ports/authorizer.ts';
import type { ResourceCatalogue } from '../ports/resource-catalogue.ts';
import type { OpenResponses } from './forward-request/open-responses.ts';

export interface NoteChangeDeps {
  readonly verdicts: VerdictMemory<Allowed>;
  readonly open: Pick<OpenResponses, 'changed'>;
  readonly catalogue: Pick<ResourceCatalogue, 'changed' | 'reload'>;
  /** Drops a zone's verification keys and every mandate verified by them. */
  readonly forgetKeys: (zoneId: string) => void;
  readonly forgetAllKeys: () => void;
}

export interface NoteChange {
  policyChanged(change: { zoneId: string; policySetVersionId: string }): void;
  delegationsChanged(change: { zoneId: string; epoch: number }): void;
  resourcesChanged(change: { zoneId: string; kind: string; id: string }): void;
  keysChanged(change: { zoneId: string }): void;
  /** Nobody can say what was missed of a stream. */
  policyUnknown(): void;
  resourcesUnknown(): Promise<void>;
  keysUnknown(): void;
}

export function createNoteChange({ verdicts, open, catalogue, forgetKeys, forgetAllKeys }: NoteChangeDeps): NoteChange {
  const everything = (): void => {
    verdicts.forgetAll();
    open.changed('everything');
  };
  return {
    policyChanged({ zoneId, policySetVersionId }) {
      verdicts.policyChanged(zoneId, policySetVersionId);
      open.changed({ zoneId });
    },
    delegationsChanged({ zoneId, epoch }) {
      verdicts.delegationsChanged(zoneId, epoch);
      open.changed({ zoneId });
    },
    resourcesChanged({ zoneId, kind, id }) {
      verdicts.resourcesChanged(zoneId);
      const change = kind === 'resource' ? { zoneId, resourceId: id } : { zoneId };
      open.changed(change);
      // Once more when the resource is known as it is now: an answer given before could not be told from a current one.
      void catalogue.changed({ zoneId, kind, id }).finally(() => open.changed(change));
    },
    keysChanged: ({ zoneId }) => forgetKeys(zoneId),
    policyUnknown: everything,
    async resourcesUnknown() {
      everything();
      await catalogue.reload();
    },
    keysUnknown: forgetAllKeys,
  };
}
