export interface LockOptions {
  path: string;
  /** Called once, when another live process is found to hold the lock. */
  onWait?: (holderPid: number) => void;
  /** Aborting gives up waiting: the call rejects with an AbortError. */
  signal?: AbortSignal;
}
/** Runs `action` while holding the lock; waits as long as another live process holds it. */
export function withLock<T>(options: LockOptions, action: () => Promise<T>): Promise<T>;
