// A zone's signing key as administrators see it: never its private part.

/** published: in JWKS, not signing yet. verifying: in JWKS until the last mandate it signed has expired. retired: gone. */
export type ZoneKeyState = 'published' | 'signing' | 'verifying' | 'retired';

export interface ZoneKey {
  /** The `kid`. */
  readonly id: string;
  readonly version: number;
  readonly state: ZoneKeyState;
  readonly publicJwk: Readonly<Record<string, string>>;
  readonly signsFrom: string;
  /** Absent for the newest key. */
  readonly signsUntil?: string | undefined;
  /** From then on it is out of JWKS. */
  readonly retiresAt?: string | undefined;
  readonly createdAt: string;
}

/** Keys in JWKS at once: rotations that overlap, each for about an hour. The database refuses more as well. */
export const maxLiveKeys = 12;
