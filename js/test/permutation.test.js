import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { Permutation, derivedSeed } from "../permutation.js";

const VECTORS = process.env.DSRECORDS_VECTORS ?? join(import.meta.dirname, "../../tests/order/vectors.json");
const vectors = JSON.parse(readFileSync(VECTORS, "utf8"));

test("the values are those of the test vectors, and their positions are found again", () => {
  assert.equal(vectors.permutations.length, 110);
  for (const { n, seed, positions, values } of vectors.permutations) {
    const permutation = new Permutation(n, BigInt(seed));
    assert.deepEqual(positions.map((position) => permutation.at(position)), values);
    assert.deepEqual(values.map((value) => permutation.indexOf(value)), positions);
  }
});

test("derived seeds are those of the test vectors", () => {
  for (const { seed, number, derived } of vectors.derived_seeds) {
    assert.equal(String(derivedSeed(BigInt(seed), BigInt(number))), derived);
  }
});

test("each value occurs once", () => {
  assert.deepEqual([...new Permutation(1000, 7)].sort((a, b) => a - b), [...Array(1000).keys()]);
  assert.deepEqual([...new Permutation(0, 0)], []);
});

test("what is out of range is refused", () => {
  assert.throws(() => new Permutation(2 ** 53 + 2, 0), RangeError);
  assert.throws(() => new Permutation(1.5, 0), RangeError);
  assert.throws(() => new Permutation(3, -1), RangeError);
  assert.throws(() => new Permutation(3, 2n ** 64n), RangeError);
  assert.throws(() => new Permutation(3, 0).at(3), RangeError);
});
