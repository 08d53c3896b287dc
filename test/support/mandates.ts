/** A key, claims that every verifier takes, and tokens put together by hand, for tests of whatever reads mandates. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { KeySource, MandateClaims } from '#mesh/mandate';

export const ISSUER = 'https://sts.example:8080';
export const ZONE = '01900000-0000-7000-8000-00000000000a';
export const NOW_MS = Date.UTC(2026, 0, 1);
export const NOW_SECONDS = NOW_MS / 1_000;

export function ambientClaims(overrides: Partial<MandateClaims> = {}): MandateClaims {
  return {
    iss: ISSUER,
    sub: 'app-1',
    aud: [ISSUER],
    exp: NOW_SECONDS + 900,
    iat: NOW_SECONDS,
    jti: '01900000-0000-7000-8000-000000000001',
    zone_id: ZONE,
    client_id: 'app-1',
    use: 'ambient',
    sub_type: 'application',
    scope: 'orders:read orders:write',
    target: ['resource://orders'],
    sid: '01900000-0000-7000-8000-000000000002',
    root_sid: '01900000-0000-7000-8000-000000000003',
    rev: 7,
    ...overrides,
  };
}

export interface TestKey {
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export function testKey(kid = 'key-1', namedCurve = 'P-256'): TestKey {
  return { kid, ...generateKeyPairSync('ec', { namedCurve }) };
}

/** Serves the given keys of one zone and counts what it was asked for. */
export function keySource(keys: readonly TestKey[], zoneId = ZONE): KeySource & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    publicKey: async (zone, kid) => {
      asked.push(`${zone} ${kid}`);
      return zone === zoneId ? keys.find((key) => key.kid === kid)?.publicKey : undefined;
    },
  };
}

export const base64url = (text: string): string => Buffer.from(text).toString('base64url');

/** A token with any header and payload text under a genuine ES256 signature of the key. */
export function forge(header: string, payload: string, key: TestKey): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  const options = { key: key.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `${input}.${sign('sha256', Buffer.from(input), options).toString('base64url')}`;
}
