// What a token is worth, as its issuer tells it.
import type { JsonObject } from '#mesh/failure';

/** RFC 7662 §2.2: the claims of what is active, and nothing of anything else. */
export type TokenState = JsonObject & { readonly active: boolean };
