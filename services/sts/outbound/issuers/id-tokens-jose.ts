// Id tokens by jose: the algorithms of the registration, the issuer's own keys, and nothing of what the header wishes for.
import { compactVerify, errors } from 'jose';
import type { CompactVerifyResult } from 'jose';
import { Failure } from '#mesh/failure';
import { readPayload } from '../../domain/id-token.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { IdTokens, IdTokenSignature } from '../../ports/id-tokens.ts';
import type { IssuerKeys } from './issuer-keys.ts';

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
  async function attempt(token: string, issuer: SubjectIssuer, anew: boolean): Promise<CompactVerifyResult> {
    return compactVerify(token, await keys.get(issuer, { anew }), { algorithms: [...issuer.algorithms] });
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
