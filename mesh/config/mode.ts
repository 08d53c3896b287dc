// The three modes an installation can run in.
// It stands alone because strictness is decided by it before any setting is read.

/** `rc` and `stable` enforce the same; unset is `stable`. */
export const modes = ['dev', 'rc', 'stable'] as const;

export type Mode = (typeof modes)[number];
