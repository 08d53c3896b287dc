/**
 * Tells whether a process written down earlier is still that process and not a later one with the same number.
 * It stands alone, in plain JavaScript, because the launcher needs it before any dependency is installed.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * An opaque word for the moment a process started, the same for as long as it lives; `undefined` when no such process
 * runs. A process that has ended and waits for its parent counts as ended.
 * @param {number} pid
 * @returns {string | undefined}
 */
export function processStartTime(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return process.platform === 'linux' ? linuxStartTime(pid) : portableStartTime(pid);
}

/**
 * @param {{ pid: number; startTime: string }} identity
 * @returns {boolean}
 */
export function isRunning(identity) {
  return processStartTime(identity.pid) === identity.startTime;
}

/**
 * Fields 3 and 22 of proc(5) `stat`, counted after the command's closing parenthesis because a command may hold
 * spaces. Ticks count from boot, so the boot's identity belongs to the answer.
 * @param {number} pid
 */
function linuxStartTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${bootIdentity()}:${fields[19]}`;
  } catch {
    return undefined;
  }
}

function bootIdentity() {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().slice(0, 8);
  } catch {
    return 'boot';
  }
}

/** @param {number} pid */
function portableStartTime(pid) {
  try {
    const options = {
      encoding: /** @type {const} */ ('utf8'),
      stdio: /** @type {const} */ (['ignore', 'pipe', 'ignore']),
    };
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], options).trim();
    if (line === '' || line.startsWith('Z')) return undefined;
    return line.slice(line.indexOf(' ')).trim().replaceAll(/\s+/g, ' ');
  } catch {
    return undefined;
  }
}
