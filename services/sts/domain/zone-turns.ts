// Who may use a scarce thing next, when many zones want it: places are handed out by zone in turn, no zone holds all of
// them, and each zone's line is bounded. It stands alone because every pool that zones share needs the same fairness.

export interface ZoneTurnsOptions {
  /** Places in use at once. */
  readonly places: number;
  /** Of these, how many one zone may hold; the rest are there at once for any other. */
  readonly perZone: number;
  /** How many may wait in all, and of one zone. */
  readonly maxWaiting: number;
  readonly maxWaitingPerZone: number;
}

/** Gives the place back; called exactly once. */
export type Leave = () => void;

export interface ZoneTurns {
  /** A place now, a place to come, or undefined when the line is full. */
  enter(zoneId: string): Leave | Promise<Leave> | undefined;
}

interface Line {
  held: number;
  readonly waiting: ((leave: Leave) => void)[];
}

class Turns implements ZoneTurns {
  readonly #options: ZoneTurnsOptions;
  /** Zones that hold a place or wait for one; the zone whose turn is next stands first. */
  readonly #lines = new Map<string, Line>();
  #held = 0;
  #waiting = 0;

  constructor(options: ZoneTurnsOptions) {
    this.#options = options;
  }

  enter(zoneId: string): Leave | Promise<Leave> | undefined {
    const { places, perZone, maxWaiting, maxWaitingPerZone } = this.#options;
    const line = this.#lines.get(zoneId) ?? { held: 0, waiting: [] };
    // Whoever waits while a place is free is of a zone that holds its share, so nobody is overtaken here.
    if (this.#held < places && line.held < perZone) return this.#take(zoneId, line);
    if (this.#waiting >= maxWaiting || line.waiting.length >= maxWaitingPerZone) return undefined;
    this.#lines.set(zoneId, line);
    this.#waiting += 1;
    return new Promise((resolve) => line.waiting.push(resolve));
  }

  #take(zoneId: string, line: Line): Leave {
    this.#held += 1;
    line.held += 1;
    this.#lines.set(zoneId, line);
    return () => this.#leave(zoneId, line);
  }

  #leave(zoneId: string, line: Line): void {
    this.#held -= 1;
    line.held -= 1;
    if (line.held === 0 && line.waiting.length === 0) this.#lines.delete(zoneId);
    this.#handOn();
  }

  #handOn(): void {
    if (this.#waiting === 0) return;
    for (const [zoneId, line] of this.#lines) {
      if (line.held >= this.#options.perZone) continue;
      const next = line.waiting.shift();
      if (next === undefined) continue;
      this.#waiting -= 1;
      // To the back of the round.
      this.#lines.delete(zoneId);
      next(this.#take(zoneId, line));
      return;
    }
  }
}

export function createZoneTurns(options: ZoneTurnsOptions): ZoneTurns {
  return new Turns(options);
}
