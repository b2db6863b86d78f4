// The page of a record.

import { crc32 } from "../crc32.js";
import { bytesInWords, count, element } from "./dom.js";
import { fieldsOfBoth } from "./compare.js";
import { shapesIn, withShapes } from "./overlays.js";
import { whole } from "./show.js";

/**
 * All of a record: values, and where they lie. Never fails: what cannot be read says so.
 *
 * @param shown `{ chosen, other, editorOf }`: fields that are drawn over pictures, as the user chose; a dataset to compare
 *   with, or null; what makes the editor of a value (`editorOf(key, type, value)`), or null
 */
export async function recordPage(dataset, position, shown) {
  const datasets = shown.other === null ? [dataset] : [dataset, shown.other];
  const columns = await Promise.all(datasets.map((one) => columnOf(one, position, shown.chosen)));
  const sections = fieldsOfBoth(datasets[0], datasets.at(-1)).map(({ key, types }) => {
    const found = columns.map((column) => column.get(key) ?? { drawn: element("span", { class: "muted", text: "no such field" }), text: null });
    const heading = element("h3", {}, element("span", { text: key }), element("code", { text: types[0] ?? types[1] }));
    if (shown.editorOf && found[0].value !== undefined) heading.append(...[shown.editorOf(key, types[0], found[0].value)].filter(Boolean));
    if (found.length === 1) return element("section", { class: "field" }, heading, found[0].drawn);
    const differs = found[0].text === null || found[0].text !== found[1].text;
    heading.append(element("span", { class: differs ? "damaged" : "muted", text: differs ? "differs" : "the same" }));
    const sides = found.map(({ drawn }) => element("div", {}, drawn));
    return element("section", { class: `field${differs ? " differs" : ""}` }, heading, element("div", { class: "sides" }, sides));
  });
  return [...sections, ...(await Promise.all(datasets.map((one) => whereItLies(one, position))))];
}

/** Of each field of a record `{ drawn, value, text }`: an element, the value, and a text that tells it from others. */
async function columnOf(dataset, position, chosen) {
  const found = new Map();
  const record = {};
  const keys = dataset.fields.map((field, k) => field.name ?? k);
  const values = keys.map((key) => dataset.get(position, [key])); // each alone, as one may be damaged; all at once
  for (const [k, reading] of (await Promise.allSettled(values)).entries()) {
    const key = String(keys[k]);
    try {
      if (reading.status === "rejected") throw reading.reason;
      const [value] = Object.values(reading.value);
      record[key] = value;
      found.set(key, { drawn: whole(value, dataset.fields[k].type), value, text: textOf(value) });
    } catch (error) {
      found.set(key, { drawn: problem(error), value: undefined, text: null });
    }
  }
  const shapes = shapesIn(record, chosen);
  if (shapes.length === 0) return found;
  for (const one of found.values()) {
    if (one.drawn.tagName === "IMG" || one.drawn.matches("canvas.pixels")) one.drawn = withShapes(one.drawn, shapes);
  }
  return found;
}

/** A text that is the same of equal values. */
function textOf(value) {
  const plain = (_, one) => {
    if (typeof one === "bigint") return `${one}`;
    if (typeof one === "number" && !Number.isFinite(one)) return `${one}`;
    if (one instanceof Map) return [...one];
    return one instanceof Uint8Array ? crc32(one) + one.length * 2 ** 32 : one;
  };
  return JSON.stringify(value, plain);
}

export function problem(error) {
  return element("p", { class: "damaged", role: "alert", text: inWords(error) });
}

/** An error of a dataset: what is wrong and where, but not in which file, as the page says that already. */
export function inWords(error) {
  if (error.reason === undefined) return `${error.name}: ${error.message}`;
  const where = [error.record === undefined ? null : `record ${count(error.record)}`, error.field, error.offset === undefined ? null : `byte ${count(error.offset)}`];
  const known = where.filter((part) => part !== null && part !== undefined).join(", ");
  return `${error.name}: ${error.reason}${known ? ` (${known})` : ""}`;
}

async function whereItLies(dataset, position) {
  let facts;
  try {
    facts = await dataset.describe(position);
  } catch (error) {
    return element("section", { class: "field" }, element("h3", { text: "Where it lies" }), problem(error));
  }
  const kinds = { 1: "a record", 2: "a record of a batch", 4: "a revision of a record" };
  const rows = [["frame", `byte ${count(facts.offset)}, ${bytesInWords(facts.size)}, ${kinds[facts.kind]}`, hex(facts.check)]];
  for (const { field, type, offset, size, checksum } of facts.payloads) {
    if (offset !== null) rows.push([field ?? type, `byte ${count(offset)}, ${bytesInWords(size)}`, hex(checksum)]);
  }
  const cells = rows.map((row) => element("tr", {}, row.map((text, k) => element(k ? "td" : "th", { text, scope: k ? null : "row" }))));
  const caption = `The checksum of its head is right${facts.file ? `; it is in ${facts.file}` : ""}.`;
  const table = element("table", {}, element("caption", { text: caption }), element("tbody", {}, cells));
  return element("section", { class: "field" }, element("h3", { text: "Where it lies" }), table);
}

const hex = (number) => number.toString(16).padStart(8, "0");
