// `dsrecords.Permutation`: the same numbers as in Python. The specification is docs/order-permutation.md.

const WORD = 2 ** 32;
const LARGEST = 2 ** 53;

function wordsOf(number) {
  const big = BigInt(number);
  return [Number(big & 0xffffffffn), Number(big >> 32n)];
}

function hashWords(number, words) {
  let mixed = Math.imul(number, 0x9e3779b9);
  for (const word of words) {
    mixed ^= word;
    mixed ^= mixed >>> 16;
    mixed = Math.imul(mixed, 0x7feb352d);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x846ca68b);
    mixed ^= mixed >>> 16;
  }
  return mixed >>> 0;
}

function mix(half, key, factor) {
  let mixed = Math.imul(half ^ key, 0x7feb352d);
  mixed ^= mixed >>> 15;
  return Math.imul(mixed, factor) >>> 0;
}

// The integer part of word * columns / 2**32, where the product may have 59 bits.
function scale(word, columns) {
  const high = (word >>> 16) * columns;
  const low = (word & 0xffff) * columns;
  return Math.floor((high + Math.floor(low / 65536)) / 65536);
}

/** The integers from 0 to n - 1, each once, in an order that the seed decides. */
export class Permutation {
  /**
   * @param {number} n at most 2**53
   * @param {number | bigint} seed 0 to 2**64 - 1
   */
  constructor(n, seed) {
    if (!Number.isInteger(n) || n < 0 || n > LARGEST) throw new RangeError(`n is 0 to ${LARGEST}, not ${n}`);
    const big = BigInt(seed);
    if (big < 0n || big >> 64n) throw new RangeError(`seed is 0 to 2**64 - 1, not ${seed}`);
    this.n = n;
    this.seed = big;
    const bits = n < 2 ? 0 : BigInt(n - 1).toString(2).length;
    this.lowBits = Math.floor(bits / 2);
    this.rows = 2 ** this.lowBits;
    this.columns = Math.ceil(n / this.rows);
    const words = [...wordsOf(n), ...wordsOf(big)];
    this.keys = [];
    this.factors = [];
    for (let round = 0; round < (n <= 65536 ? 24 : 12); round++) {
      this.keys.push(hashWords(2 * round, words));
      this.factors.push((hashWords(2 * round + 1, words) | 1) >>> 0);
    }
  }

  get length() {
    return this.n;
  }

  /** The value at a position, 0 to n - 1. */
  at(position) {
    this.#require(position);
    let value = this.#encrypt(position);
    while (value >= this.n) value = this.#encrypt(value);
    return value;
  }

  /** The position of a value. */
  indexOf(value) {
    this.#require(value);
    let position = this.#decrypt(value);
    while (position >= this.n) position = this.#decrypt(position);
    return position;
  }

  /** The values from a position on, up to before another one. */
  *values(start = 0, stop = this.n) {
    for (let position = start; position < stop; position++) yield this.at(position);
  }

  [Symbol.iterator]() {
    return this.values();
  }

  #require(number) {
    if (Number.isInteger(number) && number >= 0 && number < this.n) return;
    throw new RangeError(`${number} is not 0 to ${this.n - 1}`);
  }

  #encrypt(cell) {
    let high = Math.floor(cell / this.rows);
    let low = cell % this.rows;
    for (let round = 0; round < this.keys.length; round += 2) {
      high += scale(mix(low, this.keys[round], this.factors[round]), this.columns);
      if (high >= this.columns) high -= this.columns;
      low = this.#mixLow(high, low, round + 1);
    }
    return high * this.rows + low;
  }

  #decrypt(cell) {
    let high = Math.floor(cell / this.rows);
    let low = cell % this.rows;
    for (let round = this.keys.length - 2; round >= 0; round -= 2) {
      low = this.#mixLow(high, low, round + 1);
      high -= scale(mix(low, this.keys[round], this.factors[round]), this.columns);
      if (high < 0) high += this.columns;
    }
    return high * this.rows + low;
  }

  #mixLow(high, low, round) {
    if (this.lowBits === 0) return low;
    return low ^ (mix(high, this.keys[round], this.factors[round]) >>> (32 - this.lowBits));
  }
}

/** A seed of a seed and a number, such as that of an epoch. */
export function derivedSeed(seed, number) {
  const words = [...wordsOf(seed), ...wordsOf(number)];
  return BigInt(hashWords(65537, words)) * BigInt(WORD) + BigInt(hashWords(65536, words));
}
