// Time: the installation's clock, a clock for tests, and the text form of moments.
export { createClock, type Clock, type DisciplinedClock, type TimeSource } from './clock.ts';
export { ManualClock } from './manual-clock.ts';
export {
  microsecondText,
  microsecondTextOfMs,
  parseMicrosecondText,
  parseMicrosecondTextMs,
} from './microsecond-text.ts';
