// A zone with one resource on a real STS over TLS, and the fetch that OAuth clients nobody here wrote reach it with.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, fetch as undiciFetch } from 'undici';
import { clientKey } from '../../support/assertions.ts';
import type { SigningClientKey } from '../../support/assertions.ts';
import { allowAll, startSts } from '../../integration/sts/sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from '../../integration/sts/sts-installation.ts';

export const resource = 'https://calendar.test/api';
export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

type Fetch = (url: string | URL, options?: object) => Promise<Response>;

export interface ForeignClientWorld extends AsyncDisposable {
  readonly sts: StsInstallation;
  readonly zone: TestZone;
  /** Authenticates with a secret; its mandates are bound when it proves a key. */
  readonly secretClient: TestApplication;
  /** Authenticates with assertions, and serves the resource. */
  readonly signingClient: TestApplication;
  readonly signingKey: SigningClientKey;
  /** Its mandates are always bound. */
  readonly boundClient: TestApplication;
  /** ISSUER_URL. */
  readonly issuer: URL;
  /** Trusts the test's own CA, and nothing else is different. */
  readonly fetch: Fetch;
}

export async function startForeignClientWorld(): Promise<ForeignClientWorld> {
  const stack = new AsyncDisposableStack();
  const sts = stack.use(await startSts());
  const agent = new Agent({ connect: { ca: readFileSync(join(sts.installation.tlsFolder, 'ca.pem')) } });
  stack.defer(async () => agent.destroy());
  // The same standard twice: undici's own types and the runtime's differ in name only.
  const fetch: Fetch = async (url, options) => undiciFetch(url, { ...options, dispatcher: agent });
  const zone = await sts.zone();
  await sts.resource(zone, { identifier: resource, scopes: ['calendar:read', 'calendar:write'] });
  await sts.policy(zone, [allowAll]);
  const signingKey = clientKey('ES256');
  return {
    sts,
    zone,
    secretClient: await sts.application(zone, { senderConstraint: 'allowed' }),
    signingClient: await sts.application(zone, { publicKeys: [signingKey.publicJwk], serves: [resource] }),
    boundClient: await sts.application(zone, { senderConstraint: 'required' }),
    signingKey,
    issuer: new URL(String((await sts.get('/.well-known/oauth-authorization-server')).body['issuer'])),
    fetch,
    [Symbol.asyncDispose]: async () => stack.disposeAsync(),
  };
}
