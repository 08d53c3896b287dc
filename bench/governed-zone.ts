// The zone that a stack of its own is measured with, made over the API as any platform engineer would.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '../dev/demo/client.ts';
import { createWorld, type Places } from '../dev/demo/world.ts';

export interface GovernedPlace {
  /** Where the Gateway serves the resource: everything below it is an allowed GET. */
  readonly mount: string;
  /** An ambient mandate for the resource that outlives the run. */
  readonly mandate: string;
  /** The form of an exchange for an ambient mandate, and of one for a single use of that. */
  readonly forms: { readonly ambient: string; readonly perCall: string };
}

export interface ZoneOptions {
  readonly urls: Readonly<Record<string, string>>;
  readonly adminToken: string;
  readonly tlsFolder: string;
  readonly upstreamPort: number;
}

/** The STS hears of a new zone by a stream; ten seconds of asking are far more than that takes. */
const attempts = 100;
const pauseMs = 100;

export async function createGovernedZone(options: ZoneOptions): Promise<GovernedPlace> {
  const { urls, adminToken, tlsFolder, upstreamPort } = options;
  await using client = createClient(join(tlsFolder, 'ca.pem'));
  const places = urls as unknown as Places;
  const upstream = { url: `http://127.0.0.1:${upstreamPort}`, apiKey: randomBytes(16).toString('hex') };
  const world = await createWorld({ client, places, adminToken }, upstream);
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    zone_id: world.zoneId,
    application_id: world.applicationId,
    client_secret: world.clientSecret,
    resource: world.resource,
    scope: 'reports:read',
  };
  for (let attempt = 1; ; attempt += 1) {
    const reply = await client.send(`${places.sts}/oauth/2/token`, { form: { ...form, ttl_seconds: '3600' } });
    if (reply.status === 200) {
      const { access_token: mandate } = reply.body as { access_token: string };
      const subject = {
        subject_token: mandate,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      };
      return {
        mount: `/r/${world.zoneSlug}/${world.resourceSlug}/reports`,
        mandate,
        forms: {
          ambient: new URLSearchParams(form).toString(),
          perCall: new URLSearchParams({ ...form, ...subject }).toString(),
        },
      };
    }
    if (attempt >= attempts) throw new Error(`no mandate: ${JSON.stringify(reply.body)}`);
    await sleep(pauseMs);
  }
}
