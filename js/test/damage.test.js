// Whichever bit of a file flips: the right values, those before the last batch, or an error of ours.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { DSRecordsError, open } from "../dsrecords.js";

const GOLDEN = process.env.DSRECORDS_GOLDEN ?? join(import.meta.dirname, "../../tests/golden");
const fileOf = (name) => (name ? new Uint8Array(readFileSync(join(GOLDEN, name))) : null);
const SOME_OF_A_HEADER = 97; // of its bits, which are mostly padding, each 97th flips

const FILES = [
  { rec: "correct_text.rec" },
  { rec: "delete_several.rec" },
  { rec: "update.rec", idx: "update.idx" },
  { rec: "update.rec", view: "view.idx" },
];

const asText = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one));

/** What a file shows: each record as text, or the error that it is; or the error of the file. */
async function shown({ rec, idx, view }) {
  const ours = (error) => {
    if (!(error instanceof DSRecordsError)) throw error;
    return error;
  };
  const dataset = await open(rec, view ? { view } : { idx }).catch(ours);
  if (dataset instanceof DSRecordsError) return dataset;
  const records = [];
  for (let i = 0; i < dataset.count; i++) records.push(await dataset.get(i).then(asText, ours));
  return records;
}

/** The lists that a file may show: its own, and the one before its last batch if nothing vouches for that. */
async function right(files) {
  const own = await shown(files);
  const lists = [own];
  if (files.idx || files.view) return lists;
  for (let length = files.rec.length - 8; length > 4096; length -= 8) {
    const before = await shown({ ...files, rec: files.rec.subarray(0, length) });
    lists.push(before);
    if (asText(before) !== asText(own) && !(before instanceof DSRecordsError)) break;
  }
  return lists.filter(Array.isArray);
}

for (const named of FILES) {
  test(Object.values(named).join(" "), async () => {
    const files = Object.fromEntries(Object.entries(named).map(([key, name]) => [key, fileOf(name)]));
    const lists = await right(files);
    let refused = 0;
    let flips = 0;
    for (const [key, bytes] of Object.entries(files)) {
      for (let bit = 0; bit < bytes.length * 8; bit += bit < 8 * 4096 && bytes.length > 4096 && key === "rec" ? SOME_OF_A_HEADER : 1) {
        if (key !== "rec" && bit >= 128 * 8 && bit < 4096 * 8) continue; // zeros between the slots
        if (key !== "rec" && bit >= 4224 * 8 && bit < 12288 * 8) continue; // more of them, and the copy of the header
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const found = await shown(files);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        flips++;
        if (found instanceof DSRecordsError) refused++;
        else {
          const fits = (list) => found.every((one, i) => one instanceof DSRecordsError || one === list[i]);
          assert.ok(lists.some((list) => list.length === found.length && fits(list)), `${key}, bit ${bit}: ${asText(found)}`);
        }
      }
    }
    assert.ok(flips > 2000 && refused > 300, `${flips} ${refused}`);
  });
}
