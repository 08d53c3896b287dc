/** A digest of the lockfile's bytes, in lower-case hex. */
export function lockfileDigest(folder: string): string;
/** Whether the folder's node_modules is what its package-lock.json says. */
export function dependenciesCurrent(folder: string): boolean;
