// `dsrecords.Permutation` in JavaScript: the same numbers, without BigInt but for seeds above 2**53.
//
// The specification is docs/order-permutation.md. As a module: `const {Permutation} = require("./permutation.js")`.
// Alone: `node permutation.js vectors.json` compares it with the test vectors, tests/order/vectors.json.

"use strict";

const WORD = 2 ** 32;
const GOLDEN = 0x9e3779b9;
const FIRST_FACTOR = 0x7feb352d;
const SECOND_FACTOR = 0x846ca68b;

function wordsOf(number) {
  const big = BigInt(number);
  return [Number(big & 0xffffffffn), Number(big >> 32n)];
}

function hashWords(number, words) {
  let mixed = Math.imul(number, GOLDEN);
  for (const word of words) {
    mixed ^= word;
    mixed ^= mixed >>> 16;
    mixed = Math.imul(mixed, FIRST_FACTOR);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, SECOND_FACTOR);
    mixed ^= mixed >>> 16;
  }
  return mixed >>> 0;
}

function mix(half, key, factor) {
  let mixed = Math.imul(half ^ key, FIRST_FACTOR);
  mixed ^= mixed >>> 15;
  return Math.imul(mixed, factor) >>> 0;
}

// The integer part of word * columns / 2**32, where the product may have 59 bits.
function scale(word, columns) {
  const high = (word >>> 16) * columns;
  const low = (word & 0xffff) * columns;
  return Math.floor((high + Math.floor(low / 65536)) / 65536);
}

class Permutation {
  // n: a number, at most 2**53; seed: a number, or a BigInt below 2**64.
  constructor(n, seed) {
    this.n = n;
    const bits = n < 2 ? 0 : BigInt(n - 1).toString(2).length;
    this.lowBits = Math.floor(bits / 2);
    this.rows = 2 ** this.lowBits;
    this.columns = Math.ceil(n / this.rows);
    const rounds = n <= 65536 ? 24 : 12;
    const words = [...wordsOf(n), ...wordsOf(seed)];
    this.keys = [];
    this.factors = [];
    for (let round = 0; round < rounds; round++) {
      this.keys.push(hashWords(2 * round, words));
      this.factors.push((hashWords(2 * round + 1, words) | 1) >>> 0);
    }
  }

  encrypt(cell) {
    let high = Math.floor(cell / this.rows);
    let low = cell % this.rows;
    for (let round = 0; round < this.keys.length; round += 2) {
      high += scale(mix(low, this.keys[round], this.factors[round]), this.columns);
      if (high >= this.columns) high -= this.columns;
      if (this.lowBits > 0) {
        low ^= mix(high, this.keys[round + 1], this.factors[round + 1]) >>> (32 - this.lowBits);
      }
    }
    return high * this.rows + low;
  }

  // The value at a position, 0 to n - 1.
  at(position) {
    let value = this.encrypt(position);
    while (value >= this.n) value = this.encrypt(value);
    return value;
  }
}

// A seed of a seed and a number, such as that of an epoch: a BigInt.
function derivedSeed(seed, number) {
  const words = [...wordsOf(seed), ...wordsOf(number)];
  return (BigInt(hashWords(65537, words)) << 32n) | BigInt(hashWords(65536, words));
}

function compare(vectors) {
  let compared = 0;
  for (const { n, seed, positions, values } of vectors.permutations) {
    const permutation = new Permutation(n, BigInt(seed));
    positions.forEach((position, i) => {
      const value = permutation.at(position);
      if (value !== values[i]) throw new Error(`n ${n}, seed ${seed}, position ${position}: ${value}, not ${values[i]}`);
      compared++;
    });
  }
  for (const { seed, number, derived } of vectors.derived_seeds) {
    const found = derivedSeed(BigInt(seed), BigInt(number));
    if (found !== BigInt(derived)) throw new Error(`seed ${seed}, number ${number}: ${found}, not ${derived}`);
    compared++;
  }
  return compared;
}

module.exports = { Permutation, derivedSeed, compare };

if (require.main === module) {
  const vectors = JSON.parse(require("fs").readFileSync(process.argv[2], "utf8"));
  console.log(`${compare(vectors)} values are the same`);
}
