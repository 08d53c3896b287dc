// A set of whole numbers that mostly follow one another, held as ranges: an outage of an hour is one range, not a million
// entries.

/** Inclusive at both ends. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

export class NumberRanges {
  // In growing order, neither touching nor overlapping.
  #ranges: NumberRange[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  get size(): number {
    return this.#ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  }

  get ranges(): readonly NumberRange[] {
    return this.#ranges;
  }

  has(number: number): boolean {
    return this.#ranges.some(({ from, to }) => number >= from && number <= to);
  }

  add(from: number, to: number = from): void {
    if (to < from) return;
    const before = this.#ranges.filter((range) => range.to < from - 1);
    const after = this.#ranges.filter((range) => range.from > to + 1);
    const touched = this.#ranges.slice(before.length, this.#ranges.length - after.length);
    const merged = { from: Math.min(from, touched[0]?.from ?? from), to: Math.max(to, touched.at(-1)?.to ?? to) };
    this.#ranges = [...before, merged, ...after];
  }

  remove(from: number, to: number = from): void {
    if (to < from) return;
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.to < from || range.from > to) return [range];
      const left = { from: range.from, to: from - 1 };
      const right = { from: to + 1, to: range.to };
      return [left, right].filter((part) => part.from <= part.to);
    });
  }
}
