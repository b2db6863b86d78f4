// The list: where each record is. A place is the number of a row of the index, or minus the offset of a frame.

/** Places, which are the rows in their order until something else is said: that costs no memory. */
export class List {
  constructor(rows) {
    this.length = rows;
    this.changed = new Map(); // places by position, where they are not the row of that number
    this.all = null; // all of them, once something was deleted
  }

  at(position) {
    return this.all?.[position] ?? this.changed.get(position) ?? position;
  }

  set(position, place) {
    if (this.all) this.all[position] = place;
    else this.changed.set(position, place);
  }

  push(place) {
    this.set(this.length++, place);
  }

  /** How many of the first records are the rows of their number. */
  get isPlain() {
    return this.all === null && this.changed.size === 0;
  }

  /** The last record takes the place of the one at each position, which is removed. Returns whether there are such. */
  takeLast(positions) {
    for (const position of positions) {
      if (position >= this.length) return false;
      const last = this.at(this.length - 1);
      this.length--;
      if (this.all) this.all.length = this.length;
      else this.changed.delete(this.length);
      if (position < this.length) this.set(position, last);
    }
    return true;
  }

  /** Removes ranges, given as start, stop, start, stop, … Returns whether there are such. */
  delete(bounds) {
    let from = 0;
    for (let i = 0; i < bounds.length; i += 2) {
      const [start, stop] = [bounds[i], bounds[i + 1]];
      if (!(from <= start && start < stop && stop <= this.length)) return false; // also where a stop is missing
      from = stop;
    }
    const kept = [];
    let next = 0;
    for (let i = 0; i <= bounds.length; i += 2) {
      const start = bounds[i] ?? this.length;
      while (next < start) kept.push(this.at(next++));
      next = bounds[i + 1] ?? next;
    }
    this.all = kept;
    this.length = kept.length;
    this.changed.clear();
    return true;
  }
}
