/** A process as written down: its number and the moment it started. */
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}
export function processStartTime(pid: number): string | undefined;
export function isRunning(identity: ProcessIdentity): boolean;
