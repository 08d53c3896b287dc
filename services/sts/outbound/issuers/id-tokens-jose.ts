// Id tokens by jose: the algorithms of the registration, the issuer's own keys, and nothing of what the header wishes for.
import { compactVerify, errors } from 'jose';
import type { CompactVerifyResult, VerifyOptions } from 'jose';
import { Failure } from '#mesh/failure';
import { readPayload } from '../../domain/id-token.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { IdTokens, IdTokenSignature } from '../../ports/id-tokens.ts';
import type { IssuerKeys } from './issuer-keys.ts';

/** Keys of one kind an issuer has at a time, generously. */
const maxTried = 8;

/** RFC 8725 §3.11: what says that it is something else is something else. */
function isIdTokenType(typ: string | undefined): boolean {
  return typ === undefined || typ.toLowerCase() === 'jwt';
}

function refused(cause: string): IdTokenSignature {
  return { kind: 'refused', cause };
}

function signatureOf({ payload, protectedHeader }: CompactVerifyResult): IdTokenSignature {
  if (!isIdTokenType(protectedHeader.typ)) return refused('wrong_type');
  const read = readPayload(Buffer.from(payload).toString('utf8'));
  return read ? { kind: 'genuine', payload: read } : refused('malformed_id_token');
}

export function createIdTokens(keys: IssuerKeys): IdTokens {
  /** A token that names no key may be by any of those that fit; the one that made it says so. */
  async function byAny(token: string, several: errors.JWKSMultipleMatchingKeys, options: VerifyOptions) {
    let tried = 0;
    for await (const key of several) {
      const verified = await compactVerify(token, key, options).catch(() => undefined);
      if (verified) return verified;
      tried += 1;
      if (tried >= maxTried) break;
    }
    throw new errors.JWSSignatureVerificationFailed();
  }

  async function attempt(token: string, issuer: SubjectIssuer, anew: boolean): Promise<CompactVerifyResult> {
    const options: VerifyOptions = { algorithms: [...issuer.algorithms] };
    const set = await keys.get(issuer, { anew });
    try {
      return await compactVerify(token, set, options);
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return byAny(token, error, options);
      throw error;
    }
  }

  async function verified(token: string, issuer: SubjectIssuer): Promise<CompactVerifyResult> {
    try {
      return await attempt(token, issuer, false);
    } catch (error) {
      // A key nobody has seen yet: the issuer may have turned to it since.
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      return attempt(token, issuer, true);
    }
  }

  return {
    async verify(token, issuer) {
      try {
        return signatureOf(await verified(token, issuer));
      } catch (error) {
        if (error instanceof Failure) throw error;
        return refused(error instanceof errors.JOSEError ? error.code.toLowerCase() : 'unreadable_signature');
      }
    },
  };
}
