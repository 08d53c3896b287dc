import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { helloMac, provenKey } from './authorize-hello.ts';
import { calendarInput } from './calendar.ts';
import { formatSecret, hasRightCheck } from './client-secret.ts';
import { isHeaderValue, planInjection } from './injection.ts';
import { packagePath } from './policy-set.ts';
import { silentPoints } from './silent-points.ts';

describe('a client secret', () => {
  const key = Buffer.alloc(32, 1);
  const secret = Buffer.alloc(32, 2);

  it('passes its check for its own application and zone only', () => {
    const text = formatSecret(key, secret, 'app');
    expect(text).toMatch(/^csk_[A-Za-z0-9_-]{54}$/);
    expect(hasRightCheck(key, text, 'app')).toBe(true);
    expect(hasRightCheck(key, text, 'other')).toBe(false);
    expect(hasRightCheck(Buffer.alloc(32, 3), text, 'app')).toBe(false);
  });

  it('is refused as junk whatever it looks like', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), (text) => {
        expect(hasRightCheck(key, text, 'app')).toBe(false);
      }),
    );
    const text = formatSecret(key, secret, 'app');
    expect(hasRightCheck(key, `${text} `, 'app')).toBe(false);
    expect(hasRightCheck(key, text.slice(0, -1), 'app')).toBe(false);
  });
});

describe('the calendar policy sees', () => {
  const calendar = {
    time_zone: 'Europe/Berlin',
    opening_hours: { monday: [[9, 17]], tuesday: [{ from: '09:00', to: '12:00' }] },
    closed_dates: ['2026-12-28'],
  };

  it('is the zone’s own hour and day', () => {
    const at = (text: string): unknown => calendarInput(calendar, Date.parse(text));
    expect(at('2026-11-02T08:30:00Z')).toEqual({ date: '2026-11-02', weekday: 'monday', hour: 9, open: true });
    expect(at('2026-11-02T16:00:00Z')).toMatchObject({ hour: 17, open: false });
    expect(at('2026-11-03T10:59:59Z')).toMatchObject({ weekday: 'tuesday', hour: 11, open: true });
    expect(at('2026-11-04T10:00:00Z')).toMatchObject({ weekday: 'wednesday', open: false });
    expect(at('2026-12-28T10:00:00Z')).toMatchObject({ weekday: 'monday', open: false });
  });

  it('is absent without one and closed when it cannot be read', () => {
    expect(calendarInput(undefined, 0)).toBeUndefined();
    for (const odd of [[], 'x', {}, { time_zone: 'Nowhere/Land' }, { time_zone: 5 }]) {
      expect(calendarInput(odd, 0)).toEqual({ open: false });
    }
  });
});

describe('the injection', () => {
  const provider = { id: 'p', zoneId: 'z', identifier: 'p', secrets: [], version: 1 };

  it('follows the provider’s kind and never names a framing header', () => {
    const plan = (kind: string, config = {}): unknown => planInjection({ ...provider, kind, config });
    expect(plan('bearer_token')).toMatchObject({ plan: { headerName: 'authorization', prefix: 'Bearer ' } });
    expect(plan('api_key', { header_name: 'X-Key' })).toMatchObject({ plan: { headerName: 'x-key', prefix: '' } });
    expect(plan('caracal_mandate')).toMatchObject({ plan: { headerName: 'authorization', prefix: 'Bearer ' } });
    for (const header_name of ['Host', 'content-length', 'x y', 'a\r\nb', '']) {
      expect(plan('api_key', { header_name })).toEqual({ kind: 'misconfigured' });
    }
    expect(plan('bearer_token', { scheme: 'Bea rer' })).toEqual({ kind: 'misconfigured' });
    expect(plan('workload')).toEqual({ kind: 'unsupported' });
    expect(plan('oauth2_client_credentials')).toMatchObject({
      plan: { headerName: 'authorization', prefix: 'Bearer ' },
    });
    expect(plan('http_basic')).toMatchObject({ plan: { headerName: 'authorization', prefix: 'Basic ' } });
    const inQuery = { auth_location: 'query', query_param_name: 'key' };
    expect(plan('api_key', inQuery)).toMatchObject({ plan: { headerName: '', queryName: 'key' } });
    for (const name of ['', 'a&b', 'a=b', 'a b', 'é']) {
      expect(plan('api_key', { ...inQuery, query_param_name: name })).toEqual({ kind: 'misconfigured' });
    }
    expect(planInjection(undefined)).toMatchObject({ plan: { kind: 'none', headerName: '' } });
  });

  it('takes one header line and nothing that begins another', () => {
    expect(isHeaderValue('Bearer abc.def')).toBe(true);
    for (const value of ['', 'a\r\nb', 'a\nb', 'a\0b', ' a', 'a ', 'ü€']) expect(isHeaderValue(value)).toBe(false);
  });
});

describe('the hello', () => {
  it('proves one of the keys for exactly this transcript', () => {
    const transcript = {
      stsRandom: Buffer.alloc(32, 1),
      gatewayRandom: Buffer.alloc(32, 2),
      gatewaySpiffeId: 'spiffe://caracal.dev/caracal/gateway',
      replicaId: 'r',
      exporter: Buffer.alloc(32, 3),
    };
    const keys = [Buffer.alloc(32, 4), Buffer.alloc(32, 5)];
    const mac = helloMac('gateway', keys[1] ?? Buffer.alloc(0), transcript);
    expect(provenKey(keys, mac, transcript)).toBe(keys[1]);
    expect(provenKey(keys, mac, { ...transcript, exporter: Buffer.alloc(0) })).toBeUndefined();
    expect(provenKey(keys, mac, { ...transcript, replicaId: 's' })).toBeUndefined();
    expect(provenKey(keys, helloMac('sts', Buffer.alloc(32, 4), transcript), transcript)).toBeUndefined();
  });
});

describe('the watch over points', () => {
  it('gives up only on those that two looks found at the same count', () => {
    const before = [
      { id: 'a', renewals: 1 },
      { id: 'b', renewals: 5 },
    ];
    const now = [
      { id: 'a', renewals: 1 },
      { id: 'b', renewals: 6 },
      { id: 'c', renewals: 0 },
    ];
    expect(silentPoints(before, now)).toEqual([{ id: 'a', renewals: 1 }]);
  });
});

describe('package paths', () => {
  it('are different for zones and versions, and valid Rego whatever the zone is called', () => {
    expect(packagePath('a', 'f'.repeat(64))).not.toEqual(packagePath('b', 'f'.repeat(64)));
    fc.assert(
      fc.property(fc.string(), (zone) => {
        expect(packagePath(zone, '0'.repeat(64)).join('.')).toMatch(/^caracal\.z_[0-9a-f]{32}\.v_0{32}$/);
      }),
    );
  });
});
