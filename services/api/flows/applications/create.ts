// Registers an application. Its secret is made here, shown in this answer alone, and kept as a hash.
import type { ActorName, Application, CredentialType } from '../../domain/application.ts';
import type { PublicKeySet } from '../../domain/public-keys.ts';
import { formatClientSecret, secretBytes } from '../../domain/client-secret.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { checkPublicKeys } from './check-credentials.ts';

export interface CreateApplication {
  readonly name: string;
  readonly credentialType?: CredentialType | undefined;
  readonly traits?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly consent?: boolean | undefined;
  readonly senderConstraint?: string | undefined;
  readonly publicKeys?: PublicKeySet | undefined;
  readonly mayAct?: readonly ActorName[] | undefined;
  readonly serves?: readonly string[] | undefined;
  readonly expiresAt?: string | undefined;
}

/** A secret of this application and the hash to keep. The zone's check key is read before the transaction. */
export async function makeClientSecret(
  deps: ApiDeps,
  { zoneId }: ZoneCall,
  applicationId: string,
): Promise<{ secret: string; hash: string }> {
  const checkKey = await deps.store.read(zoneId, (tx) => tx.secretCheckKey());
  const secret = formatClientSecret(checkKey, deps.random(secretBytes), applicationId);
  return { secret, hash: await deps.hashSecret(secret) };
}

/** @throws invalid_request (keys), not_found (zone), rate_limited (too many hashes wait), store_unavailable. */
export async function createApplication(
  deps: ApiDeps,
  call: ZoneCall,
  input: CreateApplication,
): Promise<Created<Application>> {
  const id = deps.newId();
  const { zoneId } = call;
  const credentialType = input.credentialType ?? 'token';
  checkPublicKeys(deps, credentialType, input.publicKeys);
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => (credentialType === 'token' ? await makeClientSecret(deps, call, id) : undefined),
    write: async (tx, made) => {
      await tx.requireZone();
      const entity = await tx.applications.insert({
        id,
        zoneId,
        name: input.name,
        registrationMethod: 'managed',
        credentialType,
        secretHash: made?.hash,
        traits: input.traits ?? [],
        labels: input.labels ?? {},
        consent: input.consent === true ? 'required' : 'implicit',
        senderConstraint: input.senderConstraint ?? 'off',
        publicKeys: input.publicKeys,
        mayAct: input.mayAct ?? [],
        serves: input.serves ?? [],
        expiresAt: input.expiresAt,
      });
      await tx.record(call.admin, {
        action: 'application.create',
        entityType: 'application',
        entityId: id,
        fields: givenFields(input),
      });
      // Whoever asked for it before it existed may remember that it does not.
      await tx.invalidate('application', id, entity.version);
      return { entity, status: 201, once: made === undefined ? undefined : { client_secret: made.secret } };
    },
  });
}
