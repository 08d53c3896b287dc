// One line of the catalogue in the order a person reads it; it stands alone so that the two lists and what is made of them
// agree on it.
import type { ConnectCodeName } from './connect-code.ts';

export type CatalogueRow = readonly [
  number: number,
  code: ConnectCodeName,
  httpStatus: number,
  oauthError: string,
  retry: 'retry' | 'final',
  sentence: string,
];
