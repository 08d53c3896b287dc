// The status codes of the Connect protocol, by name.
// They stand alone as plain strings so that the catalogue needs no RPC library.

/** Every code of the Connect protocol (Connect "Error Codes"), spelled as on its wire. */
export const connectCodeNames = [
  'canceled',
  'unknown',
  'invalid_argument',
  'deadline_exceeded',
  'not_found',
  'already_exists',
  'permission_denied',
  'resource_exhausted',
  'failed_precondition',
  'aborted',
  'out_of_range',
  'unimplemented',
  'internal',
  'unavailable',
  'data_loss',
  'unauthenticated',
] as const;

export type ConnectCodeName = (typeof connectCodeNames)[number];
