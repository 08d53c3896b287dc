// Random choices that a seed repeats. It stands alone because a proof that failed must be able to run again as it was.

/** Numbers in [0, 1), by the linear congruence of Numerical Recipes on 32 bits: even enough to mix traffic. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
