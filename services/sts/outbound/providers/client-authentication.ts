// Proves our client at a provider's token endpoint: what its registration asks for becomes headers and form fields.
import { SignJWT, importPKCS8 } from 'jose';
import type { OAuthSettings } from '../../domain/provider-settings.ts';

export interface ClientProof {
  readonly headers: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
}

export interface ProofFacts {
  readonly nowMs: number;
  readonly newId: () => string;
}

/** An assertion is used within the second; servers refuse lives of more than a few minutes. */
const assertionSeconds = 60;

/** application/x-www-form-urlencoded, as RFC 6749 §2.3.1 asks for the two halves of the Basic value. */
function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

/** RFC 7523 §2.2; the audience is the server's issuer as sole value (RFC 10070), or its endpoint where no issuer is known. */
async function signAssertion(settings: OAuthSettings, key: string, { nowMs, newId }: ProofFacts): Promise<string> {
  const { clientId, issuer, tokenUrl, keyId, signingAlgorithm } = settings;
  const issuedAt = Math.floor(nowMs / 1000);
  return new SignJWT({})
    .setProtectedHeader({
      alg: signingAlgorithm,
      typ: 'client-authentication+jwt',
      ...(keyId === undefined ? {} : { kid: keyId }),
    })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(issuer ?? tokenUrl)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + assertionSeconds)
    .setJti(newId())
    .sign(await importPKCS8(key, signingAlgorithm));
}

/** Rejects when the method needs a secret and there is none, or the key does not sign with the configured algorithm. */
export async function proveClient(
  settings: OAuthSettings,
  secret: string | undefined,
  facts: ProofFacts,
): Promise<ClientProof> {
  const { clientId, clientAuthentication } = settings;
  if (clientAuthentication === 'none') return { headers: {}, fields: { client_id: clientId } };
  if (secret === undefined) throw new Error('the client has no secret');
  switch (clientAuthentication) {
    case 'client_secret_basic': {
      const pair = `${formEncoded(clientId)}:${formEncoded(secret)}`;
      return { headers: { authorization: `Basic ${Buffer.from(pair, 'utf8').toString('base64')}` }, fields: {} };
    }
    case 'client_secret_post':
      return { headers: {}, fields: { client_id: clientId, client_secret: secret } };
    case 'private_key_jwt':
      return {
        headers: {},
        fields: {
          client_id: clientId,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: await signAssertion(settings, secret, facts),
        },
      };
  }
}
