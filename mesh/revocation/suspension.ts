// Notices that the machine stood still: the monotonic clock does not count a suspension, the wall clock does. A step of
// the wall clock looks the same and costs one confirmation.
import type { DisciplinedClock } from '#mesh/time';

// Slewing moves a clock by at most half a millisecond a second; a correction the installation's clock holds back is 1 s.
const NOTICEABLE_MS = 1_500;

/** Answers true once for each time the two clocks parted since it was last asked. */
export function createSuspensionWatch(clock: DisciplinedClock): () => boolean {
  // The host's wall clock, whatever the database said about it.
  const drift = (): number => clock.now() - clock.offsetMs() - clock.monotonic();
  let known = drift();
  return () => {
    const current = drift();
    if (Math.abs(current - known) < NOTICEABLE_MS) return false;
    known = current;
    return true;
  };
}
