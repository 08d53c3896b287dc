// A zone: the wall between tenants, with what the control plane may set on it.
import type { JsonObject } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';

export interface Zone {
  readonly id: ZoneId;
  readonly name: string;
  /** Unique in the installation; archived zones keep theirs. */
  readonly slug: string;
  readonly orgId?: string | undefined;
  readonly dcrEnabled: boolean;
  readonly pkceRequired: boolean;
  readonly loginFlow: string;
  /** Opening hours as policies see them; absent means always open. */
  readonly calendar?: JsonObject | undefined;
  readonly recordInputs: boolean;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** The IANA name is one that this runtime knows; the form of everything else is the schema's word. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
