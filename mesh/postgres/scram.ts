// SCRAM-SHA-256 verifiers (RFC 5803 in the form Postgres stores), made here so that no password travels in a statement,
// where the server's log would keep it.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** Postgres' own default; more would slow every new connection, and the passwords are random anyway. */
const iterations = 4096;
const saltBytes = 16;

/** What `ALTER ROLE … PASSWORD` stores for a password. ASCII only: Postgres would normalise anything else (SASLprep). */
export function scramVerifier(password: string, salt: Buffer = randomBytes(saltBytes)): string {
  if (!/^[\x21-\x7e]{8,256}$/.test(password))
    throw new Error('a database password is 8 to 256 printable ASCII characters');
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
