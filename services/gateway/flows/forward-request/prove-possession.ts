// The stage about the key: a mandate that is bound to one is worth nothing without its proof, on every call anew
// (RFC 9449 §7, RFC 8705 §3). Pure cryptography; the proof is spent later, when nothing cheap can refuse the call any more.
import { isProven } from '#mesh/authority';
import { fail, type Failure } from '#mesh/failure';
import type { Bearer, Exchange, ForwardDeps } from './exchange.ts';

export function provePossession(exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  const { bearer, call } = exchange;
  if (bearer === undefined) return fail('internal_error');
  const { cnf } = bearer.mandate.claims;
  const { certificateThumbprint: x5tS256 } = call;
  exchange.proven = x5tS256 === undefined ? {} : { x5tS256 };
  // RFC 9449 §7.1: the scheme says how the mandate may be used, and must not be downgraded.
  const promised = cnf?.jkt === undefined ? 'bearer' : 'dpop';
  if (bearer.scheme !== promised)
    return mismatch(promised === 'dpop' ? 'bound mandate as bearer' : 'bearer with proof');
  const refusal = bearer.scheme === 'dpop' ? proveKey(exchange, bearer, deps) : undefined;
  if (refusal !== undefined) return refusal;
  return isProven(cnf, exchange.proven) ? undefined : mismatch('other certificate');
}

function proveKey(exchange: Exchange, { mandate }: Bearer, deps: ForwardDeps): Failure | undefined {
  const { call, headers } = exchange;
  if (headers.dpop === undefined) return fail('dpop_proof_rejected', { privateDetail: 'no proof' });
  const { method, target } = call;
  const proof = deps.proofs.check({ dpop: headers.dpop, method, target, accessToken: mandate.token });
  if (proof.jkt !== mandate.claims.cnf?.jkt) return fail('dpop_proof_rejected', { privateDetail: 'other key' });
  exchange.proof = proof;
  exchange.proven = { ...exchange.proven, jkt: proof.jkt };
  return undefined;
}

const mismatch = (privateDetail: string): Failure => fail('invalid_token', { privateDetail });

/** A proof is good once in the installation. Rejects with `replay_store_unavailable` when nobody can say. */
export async function spendProof(exchange: Exchange, deps: ForwardDeps): Promise<Failure | undefined> {
  const { proof, bearer } = exchange;
  if (proof === undefined || bearer === undefined) return undefined;
  const { replayId: id, ttlMs, issuedAtMs } = proof;
  const zoneId = bearer.mandate.claims.zone_id;
  // Before the marks' memory begins nobody knows what was shown; a nonce of ours is younger than that.
  if (!deps.replayStore.remembers(issuedAtMs)) return fail('dpop_nonce_required', { privateDetail: 'marks lost' });
  const first = await deps.replayStore.spend({ zoneId, kind: 'dpop', id, ttlMs, issuedAtMs });
  return first === 'first' ? undefined : fail('dpop_proof_rejected', { privateDetail: 'proof replayed' });
}
