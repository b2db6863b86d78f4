// Which records are shown, and in which order.

import { DSRecordsError } from "../errors.js";
import { Permutation } from "../permutation.js";
import { parseCondition } from "./condition.js";

const PAUSE = 12; // milliseconds of work, after which the page may draw

/** Positions: all in order, or shuffled by a formula, or a list. `at(line)` is the record of a line. */
export class Order {
  constructor(length, at, listed = null) {
    this.length = length;
    this.at = at;
    this.listed = listed;
  }

  static all(length) {
    return new Order(length, (line) => line);
  }

  static of(listed) {
    return new Order(listed.length, (line) => listed[line], listed);
  }

  /** Those of the records that a list of positions has, in the order that they have here. */
  only(positions) {
    if (this.listed === null) return Order.of(positions);
    const wanted = new Set(positions);
    return Order.of(this.listed.filter((position) => wanted.has(position)));
  }

  /** The same records in the order of `dsrecords.Permutation(length, seed)`. */
  shuffled(seed) {
    const permutation = new Permutation(this.length, seed);
    return new Order(this.length, (line) => this.at(permutation.at(line)));
  }

  /** The line that shows a record; -1 if none does. Only as far as it is cheap to find. */
  lineOf(position) {
    if (this.listed) return this.listed.indexOf(position);
    for (let line = 0; line < Math.min(this.length, 1e5); line++) if (this.at(line) === position) return line;
    return this.at(position) === position ? position : -1;
  }
}

/** Lets the page draw if it has been busy for long. */
export function breather() {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < PAUSE) return;
    await new Promise((resolve) => setTimeout(resolve));
    since = performance.now();
  };
}

/**
 * The positions that fulfil a condition, in order. `report(done)` is told how many records were looked at; `signal` ends it.
 * Damaged records fulfil none.
 */
export async function filtered(dataset, text, fields, { report, signal }) {
  const { names, test } = parseCondition(text, fields);
  const found = [];
  await dataset.scan(
    names,
    async ({ start, count, columns, damaged }) => {
      const values = new Array(columns.length);
      for (let i = 0; i < count; i++) {
        if (damaged.size && damaged.has(start + i)) continue;
        for (let k = 0; k < columns.length; k++) values[k] = columns[k].at(i);
        if (test(values)) found.push(start + i);
      }
      await paused(report, start + count, signal);
    },
    { skipDamaged: true },
  );
  return found;
}

async function paused(report, done, signal) {
  report(done);
  await new Promise((resolve) => setTimeout(resolve));
  signal?.throwIfAborted();
}

/** The values of a field of all records, by position; undefined where a record is damaged. */
async function valuesOf(dataset, name, { report, signal }) {
  const values = new Array(dataset.count);
  await dataset.scan(
    [name],
    async ({ start, count, columns: [column], damaged }) => {
      for (let i = 0; i < count; i++) values[start + i] = damaged.has(start + i) ? undefined : column.at(i);
      await paused(report, start + count, signal);
    },
    { skipDamaged: true },
  );
  return values;
}

/**
 * Some of the records of an order, picked by chance: the first of `dsrecords.Permutation(length, seed)`. With the name of a
 * field, each of its values has its share (largest remainders first), and is picked from so.
 */
export async function sampled(dataset, number, by, seed, order, options) {
  if (by === null) return picked(order, number, seed);
  const values = await valuesOf(dataset, by, options);
  const groups = new Map();
  for (let line = 0; line < order.length; line++) {
    const position = order.at(line);
    const key = values[position];
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(position);
  }
  const shares = [...groups.values()].map((group) => ({ group, exact: (number * group.length) / order.length }));
  for (const share of shares) share.number = Math.min(share.group.length, Math.floor(share.exact));
  const rest = Math.min(number, order.length) - shares.reduce((sum, share) => sum + share.number, 0);
  const byRemainder = shares.toSorted((one, other) => other.exact - other.number - (one.exact - one.number));
  for (const share of byRemainder.slice(0, rest)) share.number++;
  return shares.flatMap((share) => picked(Order.of(share.group), share.number, seed)).sort((one, other) => one - other);
}

function picked(order, number, seed) {
  const shuffled = order.shuffled(seed);
  return Array.from({ length: Math.min(number, order.length) }, (_, line) => shuffled.at(line));
}

/** The positions of some records, sorted by a field; those without a value come last, damaged ones at the very end. */
export async function sorted(dataset, name, isDescending, order, options) {
  const keys = await valuesOf(dataset, name, options);
  const positions = Array.from({ length: order.length }, (_, line) => order.at(line));
  const sign = isDescending ? -1 : 1;
  const rank = (key) => (key === undefined ? 3 : key === null ? 2 : Number.isNaN(key) ? 1 : 0);
  return positions.sort((one, other) => {
    const [first, second] = [keys[one], keys[other]];
    const byRank = rank(first) - rank(second);
    if (byRank || rank(first)) return byRank || one - other;
    if (first === second) return one - other;
    return first < second ? -sign : sign;
  });
}

/** The positions of records one of whose texts has some words, whatever their case. */
export async function searched(dataset, words, names, order, { report, signal, most = 10000 }) {
  const wanted = words.toLowerCase();
  const found = [];
  const pause = breather();
  const together = 256;
  for (let line = 0; line < order.length && found.length < most; line += together) {
    const positions = Array.from({ length: Math.min(together, order.length - line) }, (_, k) => order.at(line + k));
    const records = await recordsAt(dataset, positions, names);
    records.forEach((record, k) => {
      const has = record.values?.some((value) => textIn(value).toLowerCase().includes(wanted));
      if (has) found.push(positions[k]);
    });
    report(line + positions.length);
    await pause();
    signal?.throwIfAborted();
  }
  return found;
}

/**
 * Some fields of some records, read together: of each record `{ values }`, or `{ error }` where it is damaged. Payloads that
 * lie side by side take one request.
 */
export async function recordsAt(dataset, positions, keys) {
  try {
    const columns = Object.values(await dataset.batch(positions, keys));
    return positions.map((_, k) => ({ values: columns.map((column) => column[k]) }));
  } catch (error) {
    if (!(error instanceof DSRecordsError)) return positions.map(() => ({ error }));
  }
  const alone = (position) => dataset.get(position, keys).then((record) => ({ values: Object.values(record) }), (error) => ({ error }));
  return Promise.all(positions.map(alone)); // one of them is damaged
}

/** All the text in a value. */
function textIn(value) {
  if (typeof value === "string") return value;
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return "";
  return (value instanceof Map ? [...value.values()] : Object.values(value)).map(textIn).join("\n");
}
