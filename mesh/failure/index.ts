// Failures: the closed catalogue of reasons and the one exception that carries them.
export { catalogue, isFailureReason, reasonOfNumber, type CatalogueEntry, type FailureReason } from './catalogue.ts';
export { connectCodeNames, type ConnectCodeName } from './connect-code.ts';
export { Failure, asFailure, fail, type FailureOptions, type FieldViolation, type ReasonedError } from './failure.ts';
export type { JsonObject, JsonValue } from './json.ts';
export { renderErrorReference } from './reference.ts';
