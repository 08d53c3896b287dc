// What the flows of Audit may use.
import type { Clock } from '#mesh/time';
import type { Logger } from '#mesh/telemetry';
import type { ChainKeys } from '../domain/chain.ts';
import type { LedgerStore } from './ledger-store.ts';

/** Whether a producer holding one of the installation's audit keys has signed these bytes. */
export type SignatureCheck = (data: string, signature: string) => boolean;

export interface AuditDeps {
  readonly ledger: LedgerStore;
  readonly chainKeys: ChainKeys;
  readonly isSigned: SignatureCheck;
  readonly clock: Clock;
  readonly logger: Logger;
}
