// Notices that the machine stood still: the monotonic clock does not count a suspension, the wall clock does. A step of
// the wall clock looks the same and costs one confirmation.
import type { DisciplinedClock } from '#mesh/time';

// A lease leaves a tenth of the staleness limit, at the least 250 ms, between its end and the moment others rely on it.
// Between two looks slewing parts the clocks by microseconds; a step of the wall clock by more than this is rare.
const NOTICEABLE_MS = 200;

/** Answers true once for each time the two clocks parted since it was last asked; meant to be asked several times a second. */
export function createSuspensionWatch(clock: DisciplinedClock): () => boolean {
  // The host's wall clock, whatever the database said about it.
  const drift = (): number => clock.now() - clock.offsetMs() - clock.monotonic();
  let known = drift();
  return () => {
    const current = drift();
    const moved = Math.abs(current - known);
    known = current;
    return moved >= NOTICEABLE_MS;
  };
}
