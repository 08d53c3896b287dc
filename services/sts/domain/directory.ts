// What the STS knows of a zone and of what lives in it, as values. It stands alone because every rule reads these and
// none may know where they come from.
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { ActorName } from '#mesh/mandate';

/** A live zone; an archived one does not exist for the STS. */
export interface Zone {
  readonly id: string;
  readonly name: string;
  /** Opening hours as the API stored them; undefined when the zone keeps none. */
  readonly calendar: JsonValue | undefined;
  /** True when the ledger keeps decision inputs. */
  readonly recordInputs: boolean;
  /** The key of the check part of every client secret of this zone. */
  readonly secretCheckKey: Uint8Array;
  readonly version: number;
}

/** A live application; archived and expired ones do not exist for exchange. */
export interface Application {
  readonly id: string;
  readonly zoneId: string;
  readonly name: string;
  readonly registrationMethod: string;
  readonly credentialType: string;
  /** `argon2id$<salt>$<hash>`; undefined for a public client, which cannot authenticate. */
  readonly secretHash: string | undefined;
  readonly traits: JsonValue;
  readonly labels: JsonValue;
  /** `off`, `allowed` or `required`: whether its mandates are bound to a key it proves. */
  readonly senderConstraint: string;
  /** Public JWKs its client assertions are signed with; empty unless `credentialType` is `public-key`. */
  readonly publicKeys: readonly JsonObject[];
  /** Who may act for this application as subject (RFC 8693 §4.4); never taken from a request. */
  readonly mayAct: readonly ActorName[];
  /** Identifiers of the resources it serves, and so may introspect mandates for (RFC 7662 §2.2). */
  readonly serves: readonly string[];
  readonly expiresAtMs: number | undefined;
  readonly version: number;
}

/** One declared operation of a resource: which scope a method and path need. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly scope: string;
}

export interface Resource {
  readonly id: string;
  readonly zoneId: string;
  readonly identifier: string;
  readonly kind: string;
  readonly upstreamUrl: string;
  readonly scopes: readonly string[];
  readonly operations: readonly Operation[];
  /** When true a call that no operation names is denied. */
  readonly operationEnforcement: boolean;
  readonly providerId: string | undefined;
  readonly version: number;
}

/** How an upstream wants to be addressed; its secrets stay sealed until the moment of release. */
export interface Provider {
  readonly id: string;
  readonly zoneId: string;
  readonly identifier: string;
  readonly kind: string;
  readonly config: JsonObject;
  readonly secrets: readonly SealedSecret[];
  readonly version: number;
}

export interface SealedSecret {
  readonly name: string;
  readonly rowId: string;
  readonly envelope: Uint8Array;
}

/** True when the application may still be used at `nowMs`. */
export function isLive(application: Application, nowMs: number): boolean {
  return application.expiresAtMs === undefined || application.expiresAtMs > nowMs;
}
