// Reading secrets from files, and who else on the machine could read them.
// It stands alone as the one impure part of configuration; tests hand in their own.
import { closeSync, fstatSync, openSync, readFileSync, readSync, realpathSync } from 'node:fs';

/** What is known of a file that holds a secret. */
export interface SecretFile {
  readonly text: string;
  /** Any user of the machine may read it. */
  readonly isReadableByOthers: boolean;
  /** It lies where orchestrators put secrets: on a read-only or tmpfs mount, or under /run/secrets or /var/run/secrets. */
  readonly isOnSecretMount: boolean;
}

export interface SecretFiles {
  /** @throws when the file cannot be read; the error's `code` may be shown. */
  read(path: string): SecretFile;
}

/** A key or a PEM chain is far smaller; a wrong path must not fill the memory. */
const maxBytes = 64 * 1024;

const readableByOthers = 0o004;

export interface Mount {
  readonly point: string;
  readonly isReadOnly: boolean;
  readonly type: string;
}

/** The mounts of a `/proc/self/mountinfo` text (proc_pid_mountinfo(5)). */
export function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , , point, options] = before.split(' ');
    const [type, , superOptions] = after.split(' ');
    if (point === undefined || options === undefined || type === undefined) return [];
    const isReadOnly = [...options.split(','), ...(superOptions ?? '').split(',')].includes('ro');
    // Spaces and the like are written as octal escapes.
    const path = point.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
    return [{ point: path, isReadOnly, type }];
  });
}

function isUnder(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

/** Whether a file of that real path lies on a mount that only the orchestrator writes. */
export function isOnSecretMount(realPath: string, mounts: readonly Mount[]): boolean {
  if (isUnder(realPath, '/run/secrets') || isUnder(realPath, '/var/run/secrets')) return true;
  let deepest: Mount | undefined;
  for (const mount of mounts) {
    // Of two mounts on one point the later one covers the earlier.
    if (isUnder(realPath, mount.point) && mount.point.length >= (deepest?.point.length ?? 0)) deepest = mount;
  }
  return deepest !== undefined && (deepest.isReadOnly || deepest.type === 'tmpfs' || deepest.type === 'ramfs');
}

function mounts(): readonly Mount[] {
  try {
    return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  } catch {
    // Systems without it have no exemption but the two well-known folders.
    return [];
  }
}

function readBounded(descriptor: number): string {
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    length += count;
    if (length > maxBytes) throw Object.assign(new Error('the file is too large'), { code: 'EFBIG' });
    if (count === 0) return buffer.toString('utf8', 0, length);
  }
}

/** The machine's own files. */
export const hostFiles: SecretFiles = {
  read(path) {
    // Content and permission are of one and the same open file, whatever happens to its name meanwhile.
    const descriptor = openSync(path, 'r');
    try {
      const isReadableByOthers = (fstatSync(descriptor).mode & readableByOthers) !== 0;
      const text = readBounded(descriptor);
      return {
        text,
        isReadableByOthers,
        isOnSecretMount: isReadableByOthers && isOnSecretMount(realpathSync(path), mounts()),
      };
    } finally {
      closeSync(descriptor);
    }
  },
};
