// Tokens of connections: opened from memory while they are fresh, renewed once for everyone who asks. One replica at a time
// asks a provider for a connection, by a lease in the connection's own row; new tokens are stored before they are used, so
// that a refresh token that rotates is lost by no crash of a reader and no race of two writers.
import { LRUCache } from 'lru-cache';
import { asFailure, fail } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import { isHopeless, tokenExpiryMs, tokenState, type Connection } from '../../domain/connection.ts';
import type { Provider } from '../../domain/directory.ts';
import type { OAuthSettings } from '../../domain/provider-settings.ts';
import type { GrantedTokens } from '../../domain/token-answer.ts';
import type { ConnectionKey, Connections } from '../../ports/connections.ts';
import type { ObtainedCredential } from '../../ports/provider-credentials.ts';
import type { TokenEndpoint, TokenGrant } from '../../ports/token-endpoint.ts';
import type { Vault } from '../../ports/vault.ts';
import { openText } from './sealed-secrets.ts';

export interface BrokenConnection {
  readonly zoneId: string;
  readonly providerId: string;
  readonly connectionId: string;
  readonly subject: string;
  readonly error: string;
}

export interface HeldTokensOptions {
  readonly connections: Connections;
  readonly tokenEndpoint: TokenEndpoint;
  readonly vault: Pick<Vault, 'open'>;
  readonly clock: Pick<Clock, 'now' | 'monotonic' | 'sleep'>;
  readonly newId: IdSource;
  /** MAX_GRANT_TTL_SECONDS. */
  readonly capSeconds: number;
  /** Makes the loss evidence; resolves when that is durable. */
  readonly onBroken: (broken: BrokenConnection) => Promise<void>;
  /** How a token was come by: from memory, by asking the provider, or by waiting for another replica. */
  readonly onObtained?: (how: 'held' | 'renewed' | 'waited') => void;
}

/** A connection of one call, with what is needed to renew it. */
export interface HeldToken {
  readonly key: ConnectionKey;
  readonly provider: Provider;
  readonly settings: OAuthSettings;
  /** True for tokens anyone with the client's secret can have anew (client credentials). */
  readonly selfService: boolean;
}

/** Above two tries of five seconds each, with their pause. */
const leaseMs = 15_000;
/** Who finds the lease taken looks again this often, and gives up before its caller does. */
const pollMs = 100;
const maxWaitMs = 12_000;
/** Storing what a provider has just rotated is tried again: giving up loses the only copy. */
const storeAttempts = 3;
const storePauseMs = 200;
/** A provider that has just failed is not asked again for the same connection within this time. */
const failedPauseMs = 1000;
const maxRemembered = 10_000;

export interface HeldTokens {
  obtain(held: HeldToken): Promise<ObtainedCredential>;
}

class Held implements HeldTokens {
  readonly #options: HeldTokensOptions;
  readonly #renewals = new Map<string, Promise<ObtainedCredential>>();
  /** Until when a connection counts as failed, on the monotonic clock. */
  readonly #failedUntilMs = new LRUCache<string, number>({ max: maxRemembered });

  constructor(options: HeldTokensOptions) {
    this.#options = options;
  }

  async obtain(held: HeldToken): Promise<ObtainedCredential> {
    const { connections, onObtained } = this.#options;
    const connection = await connections.current(held.key);
    const state = connection ? this.#stateOf(connection, held) : 'spent';
    if (connection && state === 'fresh') {
      onObtained?.('held');
      return this.#open(connection);
    }
    this.#refuseHopeless(connection, held);
    try {
      return await this.#renewOnce(held);
    } catch (error) {
      // The token still works; that no other could be had is not yet anybody's trouble.
      if (connection && state === 'aging' && asFailure(error).reason === 'provider_unavailable') {
        return this.#open(connection);
      }
      throw error;
    }
  }

  #stateOf(connection: Connection, { provider, selfService }: HeldToken): ReturnType<typeof tokenState> {
    // What a client gets for itself is got anew when its configuration changes; what a person has granted stays.
    if (selfService && connection.providerVersion !== provider.version) return 'spent';
    const state = tokenState(connection, this.#options.clock.now());
    const renewable = selfService || connection.refreshEnvelope !== undefined;
    return state === 'aging' && !renewable ? 'fresh' : state;
  }

  #refuseHopeless(connection: Connection | undefined, { provider, selfService }: HeldToken): void {
    const asking = { selfService, providerVersion: provider.version, nowMs: this.#options.clock.now() };
    const isMissing = connection === undefined && !selfService;
    if (isMissing || (connection !== undefined && isHopeless(connection, asking))) {
      throw fail('credential_not_provisioned', {
        privateDetail: connection === undefined ? 'no_connection' : 'connection_broken',
      });
    }
  }

  async #renewOnce(held: HeldToken): Promise<ObtainedCredential> {
    const { zoneId, providerId, subject } = held.key;
    const name = `${zoneId} ${providerId} ${subject}`;
    const running = this.#renewals.get(name);
    if (running) return running;
    if ((this.#failedUntilMs.get(name) ?? 0) > this.#options.clock.monotonic()) {
      throw fail('provider_unavailable', { privateDetail: 'failed_just_now' });
    }
    const renewal = this.#renew(held)
      .catch((error: unknown) => {
        if (asFailure(error).reason === 'provider_unavailable') {
          this.#failedUntilMs.set(name, this.#options.clock.monotonic() + failedPauseMs);
        }
        throw error;
      })
      .finally(() => this.#renewals.delete(name));
    this.#renewals.set(name, renewal);
    return renewal;
  }

  async #renew(held: HeldToken): Promise<ObtainedCredential> {
    const { connections, clock, newId } = this.#options;
    const holder = newId();
    const untilMs = clock.monotonic() + maxWaitMs;
    for (;;) {
      const lease = await connections.lease(held.key, holder, leaseMs);
      if (lease.kind === 'leased') return this.#renewLeased(held, lease.connection, holder);
      if (lease.kind === 'absent') {
        if (!held.selfService) throw fail('credential_not_provisioned', { privateDetail: 'no_connection' });
        await connections.ensure(held.key, newId());
        continue;
      }
      if (clock.monotonic() >= untilMs) throw fail('provider_unavailable', { privateDetail: 'another_replica_waits' });
      await clock.sleep(pollMs);
      const connection = await connections.read(held.key);
      if (connection && this.#stateOf(connection, held) === 'fresh') {
        this.#options.onObtained?.('waited');
        return this.#open(connection);
      }
    }
  }

  async #renewLeased(held: HeldToken, connection: Connection, holder: string): Promise<ObtainedCredential> {
    // Someone may have renewed it between the look into memory and the lease.
    const state = this.#stateOf(connection, held);
    let ended = false;
    try {
      if (state === 'fresh') return this.#open(connection);
      this.#refuseHopeless(connection, held);
      const obtained = await this.#ask(held, connection, holder);
      ended = true;
      return obtained;
    } finally {
      // It lapses by itself where it cannot be given back.
      if (!ended) await this.#options.connections.release(held.key, connection.id, { holder }).catch(() => undefined);
    }
  }

  async #ask(held: HeldToken, connection: Connection, holder: string): Promise<ObtainedCredential> {
    const { tokenEndpoint, clock, onObtained } = this.#options;
    const { key, provider, settings } = held;
    const grant = this.#grantOf(held, connection);
    if (!grant) return this.#breakOff(held, connection, { holder, error: 'expired_without_refresh_token' });
    const askedAtMs = clock.now();
    const outcome = await tokenEndpoint.request({ zoneId: key.zoneId, provider, settings, grant });
    switch (outcome.kind) {
      case 'granted':
        onObtained?.('renewed');
        return this.#keep(held, connection, { tokens: outcome.tokens, askedAtMs });
      case 'refused':
        return this.#breakOff(held, connection, { holder, error: outcome.error });
      case 'forbidden':
        throw fail('credential_not_releasable', { privateDetail: outcome.cause });
      case 'unavailable':
        throw fail('provider_unavailable', { privateDetail: outcome.cause });
    }
  }

  #grantOf({ selfService }: HeldToken, connection: Connection): TokenGrant | undefined {
    if (selfService) return { kind: 'client_credentials' };
    const { refreshEnvelope, id } = connection;
    if (refreshEnvelope === undefined) return undefined;
    const location = { table: 'sts.provider_connections', column: 'refresh_envelope', rowId: id };
    return { kind: 'refresh_token', refreshToken: openText(this.#options.vault, refreshEnvelope, location) };
  }

  async #keep(
    { key, provider, settings, selfService }: HeldToken,
    connection: Connection,
    { tokens, askedAtMs }: { tokens: GrantedTokens; askedAtMs: number },
  ): Promise<ObtainedCredential> {
    const { connections, capSeconds } = this.#options;
    const renewable = selfService || tokens.refreshToken !== undefined || connection.refreshEnvelope !== undefined;
    const { accessToken, expiresInSeconds, scopes = settings.scopes } = tokens;
    const expiresAtMs = tokenExpiryMs({ askedAtMs, expiresInSeconds, capSeconds, renewable });
    // RFC 6749 §4.4.3: client credentials come without a refresh token; one that is sent all the same is not kept.
    const refreshToken = selfService ? undefined : tokens.refreshToken;
    const kept = { accessToken, refreshToken, providerVersion: provider.version, expiresAtMs, scopes };
    const renewal = { version: connection.refreshVersion, tokens: kept };
    const stored = await this.#insist(async () => connections.renew(key, connection.id, renewal));
    if (!stored) throw fail('credential_not_provisioned', { privateDetail: 'connection_ended_meanwhile' });
    return { secret: accessToken, expiresAtMs };
  }

  async #insist(store: () => Promise<boolean>): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await store();
      } catch (error) {
        if (attempt === storeAttempts) throw error;
        await this.#options.clock.sleep(storePauseMs * attempt);
      }
    }
  }

  async #breakOff(
    { key, provider }: HeldToken,
    connection: Connection,
    { holder, error }: { holder: string; error: string },
  ): Promise<never> {
    const { onBroken, connections } = this.#options;
    const { zoneId, providerId, subject } = key;
    await onBroken({ zoneId, providerId, subject, connectionId: connection.id, error });
    await connections.release(key, connection.id, { holder, error, providerVersion: provider.version });
    throw fail('credential_not_provisioned', { privateDetail: error });
  }

  #open({ accessEnvelope, id, expiresAtMs }: Connection): ObtainedCredential {
    if (accessEnvelope === undefined) throw fail('credential_not_provisioned', { privateDetail: 'no_token' });
    const location = { table: 'sts.provider_connections', column: 'access_envelope', rowId: id };
    return { secret: openText(this.#options.vault, accessEnvelope, location), expiresAtMs };
  }
}

export function createHeldTokens(options: HeldTokensOptions): HeldTokens {
  return new Held(options);
}
