// A bearer at a service that takes it in one step.
import { ambientClaims, ISSUER, keySource, NOW_MS, NOW_SECONDS, testKey } from '#test/mandates';
import { holderKey, makeProof, type ProofParts } from '#test/proofs';
import { Failure } from '#mesh/failure';
import { ManualClock } from '#mesh/time';
import { describe, expect, it } from 'vitest';
import {
  createBearerVerifier,
  createDpopChecker,
  createMandateVerifier,
  createServiceNonces,
  encodeMandate,
  type ConfirmationClaim,
  type PresentedBearer,
} from './index.ts';

const key = holderKey();
const zoneKey = testKey();
const url = 'https://coordinator.example/rpc/Start';
const certificate = 'c'.repeat(43);

function setUp(cnf: ConfirmationClaim | undefined) {
  const clock = new ManualClock(NOW_MS);
  const proofs = createDpopChecker({
    place: 'resource',
    publicUrls: ['https://coordinator.example'],
    nonces: createServiceNonces('coordinator', { current: Buffer.alloc(32, 5) }, clock),
    clock,
  });
  const spent = new Set<string>();
  const marks = {
    sinceMs: 0,
    spend: async ({ id }: { readonly id: string }): Promise<'first' | 'replayed'> => {
      const isNew = !spent.has(id);
      spent.add(id);
      return isNew ? 'first' : 'replayed';
    },
    remembers: (issuedAtMs: number): boolean => issuedAtMs >= marks.sinceMs,
  };
  const verifier = createMandateVerifier({ issuer: ISSUER, keys: keySource([zoneKey]), clock });
  const verify = createBearerVerifier({ verifier, proofs, marks });
  const token = encodeMandate(ambientClaims(cnf === undefined ? {} : { cnf }), zoneKey);
  const proof = (parts: Partial<ProofParts> = {}): string =>
    makeProof({ key, url, iat: NOW_SECONDS, accessToken: token, ...parts });
  const show = async (shown: Partial<PresentedBearer> = {}): Promise<string> => {
    const own = { scheme: 'dpop', token, dpop: undefined, certificateThumbprint: undefined } as const;
    try {
      const { proven } = await verify({ ...own, method: 'POST', target: '/rpc/Start', ...shown });
      return Object.keys(proven).join(' ') || 'bearer';
    } catch (error) {
      return error instanceof Failure ? `${error.reason} ${error.privateDetail}` : 'thrown';
    }
  };
  return { clock, proofs, marks, spent, proof, show };
}

describe('a bound mandate', () => {
  it('is taken with its proof, once', async () => {
    const { proof, show } = setUp({ jkt: key.jkt });
    const dpop = proof();
    expect(await show({ dpop })).toBe('jkt');
    expect(await show({ dpop })).toBe('dpop_proof_rejected proof_replayed');
  });

  it('is refused as a bearer, without a proof, and with the proof of another key, token or path', async () => {
    const { proof, show, spent } = setUp({ jkt: key.jkt });
    expect(await show({ scheme: 'bearer', dpop: proof() })).toBe('invalid_token wrong_scheme');
    expect(await show()).toBe('dpop_proof_rejected no_proof');
    expect(await show({ dpop: proof({ key: holderKey() }) })).toBe('dpop_proof_rejected other_key');
    expect(await show({ dpop: proof({ accessToken: 'x' }) })).toBe('dpop_proof_rejected wrong_token');
    expect(await show({ dpop: proof(), target: '/rpc/End' })).toBe('dpop_proof_rejected wrong_uri');
    expect(spent.size).toBe(0);
  });

  it('is asked for a nonce when earlier marks are lost', async () => {
    const { proofs, marks, proof, show } = setUp({ jkt: key.jkt });
    marks.sinceMs = NOW_MS;
    expect(await show({ dpop: proof() })).toBe('dpop_nonce_required marks_lost');
    expect(await show({ dpop: proof({ nonce: proofs.nonce() }) })).toBe('jkt');
  });

  it('needs both of two keys', async () => {
    const { proof, show } = setUp({ jkt: key.jkt, 'x5t#S256': certificate });
    expect(await show({ dpop: proof() })).toBe('invalid_token proof_required');
    expect(await show({ dpop: proof(), certificateThumbprint: certificate })).toBe('x5tS256 jkt');
  });
});

describe('a bearer', () => {
  it('proves nothing, and is refused under the scheme of proofs', async () => {
    const { proof, show } = setUp(undefined);
    expect(await show({ scheme: 'bearer' })).toBe('bearer');
    expect(await show({ dpop: proof() })).toBe('invalid_token wrong_scheme');
  });

  it('bound to a certificate needs it', async () => {
    const { show } = setUp({ 'x5t#S256': certificate });
    expect(await show({ scheme: 'bearer' })).toBe('invalid_token proof_required');
    expect(await show({ scheme: 'bearer', certificateThumbprint: certificate })).toBe('x5tS256');
  });
});
