// Datasets that Python made, with what it read of them: DSRECORDS_MADE is their folder (tests/readers/test_js_reader.py).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { CorruptError, ShardError, StaleViewError, open } from "../dsrecords.js";

const FOLDER = process.env.DSRECORDS_MADE;
const skip = FOLDER === undefined ? "DSRECORDS_MADE is not set" : false;
const expected = skip ? {} : JSON.parse(readFileSync(join(FOLDER, "expected.json"), "utf8"));
const plain = (values) => Array.from(values, (value) => (typeof value === "bigint" ? Number(value) : value));
const pathOf = (name) => join(FOLDER, name);

test("columns are those that Python reads", { skip }, async () => {
  for (const [name, columns] of Object.entries(expected.columns)) {
    const dataset = await open(pathOf(name));
    assert.equal(dataset.warnings.length, 0);
    for (const [field, values] of Object.entries(columns)) {
      assert.deepEqual(plain(await dataset.column(field)), values, `${name} ${field}`);
    }
    await dataset.close();
  }
});

test("records and batches are those that Python reads", { skip }, async () => {
  for (const [name, { positions, texts }] of Object.entries(expected.texts)) {
    const dataset = await open(pathOf(name));
    const { text } = await dataset.batch(positions, ["text"]);
    assert.deepEqual(text, texts);
    for (const [k, i] of positions.slice(0, 20).entries()) assert.equal((await dataset.get(i)).text, texts[k]);
    await dataset.close();
  }
});

test("many files by a manifest, where records that came later do not count", { skip }, async () => {
  const dataset = await open(pathOf("shards.json"));
  assert.equal(dataset.count, expected.shards.labels.length);
  assert.deepEqual(plain(await dataset.column("label")), expected.shards.labels);
  assert.deepEqual(await dataset.metadata(), expected.shards.metadata);
  assert.equal((await dataset.get(-1)).label, expected.shards.labels.at(-1));
  await dataset.close();
});

test("a shard that was edited, and one of another run, are refused", { skip }, async () => {
  await assert.rejects((await open(pathOf("edited.json"))).get(0), StaleViewError);
  await assert.rejects((await open(pathOf("another.json"))).get(0), ShardError);
});

test("a damaged row is found by a scan, and its number told", { skip }, async () => {
  const dataset = await open(pathOf("damaged.rec"));
  await assert.rejects(dataset.column("label"), (error) => error instanceof CorruptError && error.record === 3);
  const damaged = [];
  await dataset.scan(["label"], (block) => damaged.push(...block.damaged.keys()), { skipDamaged: true });
  assert.deepEqual(damaged, [3]);
  await dataset.close();
});

test("the sizes of payloads are read from the index alone", { skip }, async () => {
  const dataset = await open(pathOf("long.rec"));
  const sizes = [];
  await dataset.scan(["text"], ({ columns: [column] }) => sizes.push(...column.values()));
  assert.deepEqual(sizes, expected.sizes);
  await dataset.close();
});
