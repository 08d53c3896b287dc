// The need: one HTTP request to a server that a tenant named (a provider, a subject issuer), whole answer or none.

export interface EgressRequest {
  /** Whose request it is: places are shared between zones. */
  readonly zoneId: string;
  /** https; http only to loopback hosts that dev names. No user info. */
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Lower-case names. `accept-encoding` is always `identity`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From the call to the answer's last byte; 5000 unless given. */
  readonly timeoutMs?: number;
  /** 65 536 unless given. */
  readonly maxBytes?: number;
}

/**
 * Why there is no answer, in words for logs and evidence; none of them comes from the far end. With `not_allowed`, `crowded`
 * and `unreachable` nothing was sent; with the others the far end may have done what it was asked.
 */
export type EgressFault = 'not_allowed' | 'crowded' | 'unreachable' | 'broken' | 'timeout' | 'too_large';

export type EgressOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** Lower-case media type without parameters; empty when there was none. */
      readonly mediaType: string;
      readonly text: string;
    }
  /** `rule` says what forbade the address, for the operator alone. */
  | { readonly kind: 'failed'; readonly fault: EgressFault; readonly rule?: string };

/**
 * Every address the name resolves to is judged when it is dialled. Redirects are answers like any other, proxies of the
 * environment are ignored, no connection outlives its request. Never rejects.
 */
export interface Egress {
  request(request: EgressRequest): Promise<EgressOutcome>;
}
