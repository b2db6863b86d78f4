// Histograms and counts of values, from the heads of records alone.

import { count, element } from "./dom.js";
import { breather } from "./order.js";

const BINS = 24;
const MOST_VALUES = 40; // different ones that are shown one by one
const MOST_COUNTED = 65536;
const SMALLEST_PART = 0.002;

/** What the values of a field are like: `{ total, none, damaged, counts, isCut }` or `{ …, least, largest, width, bins }`. */
export async function factsOf(dataset, name, { report, signal }) {
  const counts = new Map(); // of the first different values: so labels take no memory, however many records there are
  const others = []; // numbers that are not in it, block by block
  const facts = { total: dataset.count, none: 0, damaged: 0, notANumber: 0, isCut: false };
  const add = (value, block, filled) => {
    const times = counts.get(value);
    if (times !== undefined || counts.size < MOST_COUNTED) counts.set(value, (times ?? 0) + 1);
    else if (typeof value === "string") facts.isCut = true;
    else block[filled++] = Number(value);
    return filled;
  };
  await dataset.scan(
    [name],
    async ({ start, count: length, columns: [column], damaged }) => {
      const block = new Float64Array(length);
      let filled = 0;
      for (let i = 0; i < length; i++) {
        const isDamaged = damaged.size > 0 && damaged.has(start + i);
        const value = isDamaged ? null : column.at(i);
        if (isDamaged) facts.damaged++;
        else if (value === null) facts.none++;
        else filled = add(value, block, filled);
      }
      if (filled > 0) others.push(block.slice(0, filled));
      report(start + length);
      await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
    },
    { skipDamaged: true },
  );
  const areNumbers = [...counts.keys()].every((value) => typeof value === "number" || typeof value === "bigint");
  if (counts.size > MOST_VALUES && areNumbers) return { ...facts, ...(await histogram(counts, others)) };
  return { ...facts, counts: mostFrequent(counts), isCut: facts.isCut || counts.size > MOST_VALUES };
}

function mostFrequent(counts) {
  return [...counts].sort(([, one], [, other]) => other - one).slice(0, MOST_VALUES);
}

async function histogram(counts, others) {
  const counted = [...counts].map(([value, times]) => [Number(value), times]);
  const pause = breather();
  let [least, largest] = [Infinity, -Infinity];
  const widen = (number) => {
    if (number < least && number > -Infinity) least = number;
    if (number > largest && number < Infinity) largest = number;
  };
  for (const [number] of counted) widen(number);
  for (const block of others) {
    for (const number of block) widen(number);
    await pause();
  }
  const found = { least, largest, width: (largest - least) / BINS || 1, bins: new Array(BINS).fill(0), notANumber: 0 };
  const put = (number, times) => {
    if (Number.isNaN(number)) found.notANumber += times;
    else if (Number.isFinite(number)) found.bins[Math.min(BINS - 1, Math.floor((number - least) / found.width))] += times;
  };
  for (const [number, times] of counted) put(number, times);
  for (const block of others) {
    for (const number of block) put(number, 1);
    await pause();
  }
  return found;
}

/** The facts as bars, each of which is a button that filters: `choose(condition)`. */
export function drawFacts(facts, name, choose) {
  const rows = facts.bins ? binRows(facts, name) : valueRows(facts, name);
  const most = Math.max(1, ...rows.map((row) => row.count));
  const bars = rows.map(({ label, count: times, condition }) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${100 * Math.max(times ? SMALLEST_PART : 0, times / most)}%`;
    const words = `${label}: ${count(times)} of ${count(facts.total)}. Show only these.`;
    const parts = [element("span", { class: "label", text: label }), element("span", { class: "track" }, bar), element("span", { class: "times", text: count(times) })];
    return element("button", { class: "fact", type: "button", "aria-label": words, onclick: () => choose(condition), disabled: condition === null }, parts);
  });
  const more = [facts.isCut && "there are more values: these are the most frequent ones", facts.damaged && `${count(facts.damaged)} damaged`, facts.notANumber && `${count(facts.notANumber)} not a number`];
  return element("div", { class: "facts" }, bars, more.filter(Boolean).map((text) => element("p", { class: "damaged", text })));
}

const quoted = (name) => (/^[\p{L}_][\p{L}\p{N}_.]*$/u.test(name) ? name : `\`${name}\``);
const literal = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

function valueRows(facts, name) {
  const rows = [...facts.counts].sort(([one], [other]) => (one < other ? -1 : 1)).map(([value, times]) => {
    return { label: String(value), count: times, condition: `${quoted(name)} == ${literal(value)}` };
  });
  if (facts.none) rows.push({ label: "None", count: facts.none, condition: `${quoted(name)} == null` });
  return rows;
}

function binRows(facts, name) {
  const bounds = facts.bins.map((_, i) => facts.least + i * facts.width);
  const rows = facts.bins.map((times, i) => {
    const upper = i === BINS - 1 ? `${quoted(name)} <= ${facts.largest}` : `${quoted(name)} < ${bounds[i + 1]}`;
    return { label: rounded(bounds[i], facts.width), count: times, condition: `${quoted(name)} >= ${bounds[i]} and ${upper}` };
  });
  if (facts.none) rows.push({ label: "None", count: facts.none, condition: `${quoted(name)} == null` });
  return rows;
}

function rounded(number, width) {
  const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(width))));
  return number.toFixed(digits);
}
