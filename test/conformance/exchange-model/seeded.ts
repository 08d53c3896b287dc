// Random numbers that a seed repeats, one stream per world, so that a divergence is found again by its seed and number.

/** Mulberry32: good enough to mix worlds, and one world's stream says nothing of the next one's. */
export function randomOf(seed: number, index: number): () => number {
  let state = (Math.imul(seed + 1, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca6b)) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
