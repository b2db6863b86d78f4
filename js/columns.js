// A field of many records, as numbers side by side.

import { isNone, u64 } from "./bytes.js";
import { scalar } from "./values.js";

const VIEWS = {
  bool: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array,
  uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, float32: Float32Array, float64: Float64Array,
  category: Uint16Array, datetime64: BigInt64Array, timedelta64: BigInt64Array,
};

/** A field of `length` records: of a scalar the numbers that stand for its values, of a payload its sizes in bytes. */
export class Column {
  constructor(field, length) {
    this.field = field;
    this.type = field.type;
    this.length = length;
    this.isSizes = field.payload !== null;
    this.width = this.isSizes ? 8 : field.type.width;
    this.bytes = new Uint8Array(length * this.width);
    this.present = field.present === null ? null : new Uint8Array(length);
    this.sizes = this.isSizes ? new Float64Array(this.bytes.buffer) : null;
  }

  /** Takes the value of record i from a head, which begins at `start` of some bytes. */
  take(i, bytes, start) {
    if (this.isSizes) {
      const at = start + 16 + 8 * this.field.payload;
      this.sizes[i] = isNone(bytes, at) ? -1 : u64(bytes, at);
      return;
    }
    const from = start + this.field.at;
    const to = i * this.width;
    for (let k = 0; k < this.width; k++) this.bytes[to + k] = bytes[from + k];
    if (this.present) this.present[i] = bytes[start + this.field.present];
  }

  /** Takes the values of another one, from a position on. */
  put(part, start) {
    this.bytes.set(part.bytes, start * this.width);
    this.present?.set(part.present, start);
  }

  isAbsent(i) {
    return this.present !== null && this.present[i] === 0;
  }

  /** The value of record i; null if it is None. */
  at(i) {
    if (this.isSizes) return this.sizes[i];
    return this.isAbsent(i) ? null : scalar(this.type, this.bytes, i * this.width);
  }

  /** All as NumPy would have them: of a category its numbers, of a time its units. A typed array, or with null an array. */
  values() {
    if (this.isSizes) return this.sizes;
    const View = VIEWS[this.type.kind];
    const numbers = View === undefined ? null : new View(this.bytes.buffer);
    if (numbers !== null && this.present === null && this.type.kind !== "bool") return numbers;
    const isOfNumbers = numbers !== null && this.type.kind !== "bool";
    const valueOf = isOfNumbers ? (i) => (this.isAbsent(i) ? null : numbers[i]) : (i) => this.at(i);
    return Array.from({ length: this.length }, (_, i) => valueOf(i));
  }
}
