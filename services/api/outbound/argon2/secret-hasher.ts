// Client secrets as they are stored: Argon2id (RFC 9106) with the parameters every verifier of this installation expects.
import { argon2, randomBytes } from 'node:crypto';
import { fail } from '#mesh/failure';

/** authority.md "Token endpoint": t=3, 64 MiB, p=2, 16-byte salt, 32-byte output. */
const passes = 3;
const memoryKib = 64 * 1024;
const parallelism = 2;
const saltBytes = 16;
const outputBytes = 32;
/** Each derivation takes 64 MiB and two threads of a pool that has four. */
const maxRunning = 2;
/** About three seconds of derivations; whoever comes later is better told than kept. */
const maxWaiting = 64;

/** Hashes secrets, a few at once; `rate_limited` when too many wait. */
export function createSecretHasher(): (secret: string) => Promise<string> {
  const waiting: (() => void)[] = [];
  let running = 0;
  const enter = async (): Promise<void> => {
    if (running < maxRunning) {
      running += 1;
      return;
    }
    if (waiting.length >= maxWaiting) throw fail('rate_limited', { retryAfterMs: 1000 });
    // The slot is handed over by whoever leaves.
    await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  return async (secret) => {
    await enter();
    try {
      const salt = randomBytes(saltBytes);
      return `argon2id$${plain(salt)}$${plain(await derive(secret, salt))}`;
    } finally {
      leave();
    }
  };
}

function derive(message: string, nonce: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2(
      'argon2id',
      { message, nonce, parallelism, tagLength: outputBytes, memory: memoryKib, passes },
      (error, derived) => {
        if (error) reject(error);
        else resolve(Buffer.from(derived));
      },
    );
  });
}

/** Base64 without padding, as the PHC string format writes it. */
function plain(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '');
}
