import { describe, expect, it } from 'vitest';
import { isHopeless, tokenExpiryMs, tokenState, type Connection } from './connection.ts';

const nowMs = Date.UTC(2026, 10, 1);
const connection = (fields: Partial<Connection>): Connection => ({
  id: 'c',
  providerId: 'p',
  subject: '',
  state: 'active',
  accessEnvelope: new Uint8Array([1]),
  refreshEnvelope: undefined,
  refreshVersion: 1,
  providerVersion: 1,
  expiresAtMs: nowMs + 3_600_000,
  refreshedAtMs: nowMs,
  failedAtMs: undefined,
  lastError: undefined,
  scopes: [],
  ...fields,
});

describe('a held token', () => {
  it('is fresh until half a minute before its end, and may be used until it would end on the way', () => {
    const at = (leftMs: number): string =>
      tokenState(connection({ expiresAtMs: nowMs + leftMs, refreshedAtMs: nowMs - 3_000_000 }), nowMs);
    expect([60_000, 30_001].map(at)).toEqual(['fresh', 'fresh']);
    expect([30_000, 2001].map(at)).toEqual(['aging', 'aging']);
    expect([2000, 0, -1].map(at)).toEqual(['spent', 'spent', 'spent']);
  });

  it('that lives for less than a minute is fresh for half its life', () => {
    const short = connection({ expiresAtMs: nowMs + 20_000, refreshedAtMs: nowMs });
    expect(tokenState(short, nowMs + 9000)).toBe('fresh');
    expect(tokenState(short, nowMs + 11_000)).toBe('aging');
  });

  it('without an end is fresh, and without a token or of a broken connection is nothing', () => {
    expect(tokenState(connection({ expiresAtMs: undefined }), nowMs)).toBe('fresh');
    expect(tokenState(connection({ accessEnvelope: undefined }), nowMs)).toBe('spent');
    expect(tokenState(connection({ state: 'broken' }), nowMs)).toBe('spent');
  });

  it('is capped where it can be renewed, and otherwise lives as its provider says', () => {
    const end = (expiresInSeconds: number | undefined, renewable: boolean): number | undefined =>
      tokenExpiryMs({ askedAtMs: 0, expiresInSeconds, capSeconds: 3600, renewable });
    expect(end(60, true)).toBe(60_000);
    expect(end(86_400, true)).toBe(3_600_000);
    expect(end(undefined, true)).toBe(3_600_000);
    expect(end(86_400, false)).toBe(86_400_000);
    expect(end(undefined, false)).toBeUndefined();
  });
});

describe('a broken connection', () => {
  const broken = (lastError: string): Connection => connection({ state: 'broken', failedAtMs: nowMs, lastError });

  it('of a client is tried again after a pause, or at once under a new configuration', () => {
    const at = (providerVersion: number, afterMs: number): boolean =>
      isHopeless(broken('invalid_client'), { selfService: true, providerVersion, nowMs: nowMs + afterMs });
    expect(at(1, 29_999)).toBe(true);
    expect(at(1, 30_000)).toBe(false);
    expect(at(2, 0)).toBe(false);
  });

  it('of a person is lost with its grant, and else found again under a new configuration', () => {
    const at = (lastError: string, providerVersion: number): boolean =>
      isHopeless(broken(lastError), { selfService: false, providerVersion, nowMs: nowMs + 3_600_000 });
    for (const lost of ['invalid_grant', 'expired_without_refresh_token']) {
      expect([at(lost, 1), at(lost, 2)]).toEqual([true, true]);
    }
    for (const ours of ['invalid_client', 'unauthorized_client', 'refused']) {
      expect([at(ours, 1), at(ours, 2)]).toEqual([true, false]);
    }
  });

  it('is none while it is active', () => {
    for (const selfService of [true, false]) {
      expect(isHopeless(connection({}), { selfService, providerVersion: 1, nowMs })).toBe(false);
    }
  });
});
