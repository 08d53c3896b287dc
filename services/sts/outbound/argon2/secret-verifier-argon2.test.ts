import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import { createFailureCounter } from './failure-counter.ts';
import { createSecretVerifier, deriveArgon2, parseStoredHash } from './secret-verifier-argon2.ts';

const plain = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');
const hashOf = (secret: string): string =>
  `argon2id$${plain(Buffer.alloc(16, 1))}$${plain(Buffer.alloc(32, secret.length))}`;
const derive = async (secret: string): Promise<Uint8Array> => Buffer.alloc(32, secret.length);
const limits = { concurrency: 1, maxWaiting: 8, maxWaitingPerZone: 2 };
const claim = { zoneId: 'z', applicationId: 'a', storedHash: hashOf('right'), secret: 'right' };

describe('a secret', () => {
  it('is verified by Argon2id as it is stored', async () => {
    const salt = randomBytes(16);
    const stored = `argon2id$${plain(salt)}$${plain(await deriveArgon2('secret', salt))}`;
    expect(parseStoredHash(stored)?.salt).toEqual(salt);
    const verifier = createSecretVerifier(limits);
    expect(await verifier.verify({ ...claim, storedHash: stored, secret: 'secret' })).toBe(true);
    expect(await verifier.verify({ ...claim, storedHash: stored, secret: 'Secret' })).toBe(false);
  });

  it('is derived once, again when the stored hash changes, and never remembered when wrong', async () => {
    let derivations = 0;
    const counting = async (secret: string): Promise<Uint8Array> => {
      derivations += 1;
      return derive(secret);
    };
    const verifier = createSecretVerifier({ ...limits, derive: counting });
    expect(await Promise.all([verifier.verify(claim), verifier.verify(claim)])).toEqual([true, true]);
    await verifier.verify(claim);
    expect(derivations).toBe(1);
    const storedHash = `argon2id$${plain(Buffer.alloc(16, 2))}$${plain(Buffer.alloc(32, 5))}`;
    await verifier.verify({ ...claim, storedHash });
    expect(derivations).toBe(2);
    for (let n = 0; n < 2; n += 1) expect(await verifier.verify({ ...claim, secret: 'wrong!' })).toBe(false);
    expect(derivations).toBe(4);
    for (const odd of [undefined, '', 'argon2id$x$y', 'scrypt$a$b']) {
      expect(await verifier.verify({ ...claim, storedHash: odd })).toBe(false);
    }
    expect(derivations).toBe(8);
  });

  it('waits in a line with a share per zone and a turn for each', async () => {
    const started: string[] = [];
    const gates: (() => void)[] = [];
    const slow = async (secret: string): Promise<Uint8Array> => {
      started.push(secret);
      await new Promise<void>((resolve) => gates.push(resolve));
      return derive(secret);
    };
    const verifier = createSecretVerifier({ ...limits, derive: slow });
    const ask = async (zoneId: string, secret: string): Promise<boolean> =>
      verifier.verify({ ...claim, zoneId, secret });
    const all = [ask('flood', 'f1'), ask('flood', 'f2'), ask('flood', 'f3')];
    await expect(ask('flood', 'f4')).rejects.toBeInstanceOf(Failure);
    all.push(ask('calm', 'c1'));
    for (let n = 0; n < all.length; n += 1) {
      await expect.poll(() => gates.length).toBeGreaterThan(0);
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(all);
    expect(started.indexOf('c1')).toBeLessThan(started.indexOf('f3'));
  });
});

describe('failures', () => {
  it('are counted per application and address within a minute', () => {
    let now = 0;
    const counter = createFailureCounter(() => now);
    for (let n = 0; n < 60; n += 1) expect(counter.failed('a', 'x')).toBe(false);
    expect(counter.failed('a', 'x')).toBe(true);
    expect(counter.failed('a', 'y')).toBe(false);
    expect(counter.failed('b', 'x')).toBe(false);
    now = 60_000;
    expect(counter.failed('a', 'x')).toBe(false);
  });
});
