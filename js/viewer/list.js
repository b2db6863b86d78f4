// The lines of the list: rows of a table, or tiles.

import { count, element } from "./dom.js";
import { recordsAt } from "./order.js";
import { isDrawn, shapesIn, withShapes } from "./overlays.js";
import { inWords } from "./record.js";
import { Unread, brief } from "./show.js";

const KEPT = 400; // records
const TOGETHER = 12; // records that are read by one request, if they lie side by side
const COLUMNS = 12; // fields in a row of the table
const [NUMBER, NARROW, WIDE] = [90, 80, 130]; // pixels of a column: those of the style
const TILE = 190; // pixels of its width
const FIRST = /^(jpeg|png|webp|image)/;
const PLAYED = /^(audio|video)\??$/; // of which a line says the size alone
const NOT_TEXT = /^(complex|jpeg|png|webp|image|audio|video|bytes|array|msgpack|file)|\[[\d*,]+\]\??$/;
const SCALAR = /^(bool|u?int\d+|b?float\d+|category\[.*\]|datetime64\[[^\]]*\]|timedelta64\[[^\]]*\])\??$/s;

export const keyOf = (field, k) => field.name ?? k;
export const isScalar = ({ type }) => SCALAR.test(type);
export const isComplex = ({ type }) => /^complex\d+\??$/.test(type);
export const isText = (field) => !isScalar(field) && !NOT_TEXT.test(field.type);
export const hasPictures = (fields) => fields.some(({ type }) => FIRST.test(type));

/** The fields that a line shows: those that can be seen first, then numbers and texts. */
function shownFields({ fields }) {
  const ranked = fields.map((field, k) => ({ key: keyOf(field, k), type: field.type, rank: rankOf(field) }));
  return ranked.sort((one, other) => one.rank - other.rank).slice(0, COLUMNS).map(({ key, type }) => [key, type]);
}

function rankOf(field) {
  if (FIRST.test(field.type)) return 0;
  if (isDrawn(field.name)) return 3;
  return isScalar(field) || isText(field) ? 1 : 2;
}

const isWide = (type) => type.startsWith("datetime64") || !(isScalar({ type }) || FIRST.test(type));
const widthOf = (type) => (isWide(type) ? "wide" : null);

/** Draws lines of a dataset. `page`: `{ box, order, selected, marked, chosen, select }`, as they are when lines are drawn. */
export class Lines {
  #wanted = []; // records that lines wait for

  constructor(page) {
    this.page = page;
    this.show(null);
  }

  /** Draws those of another dataset, or of one that was changed, from now on. */
  show(dataset) {
    this.dataset = dataset;
    this.kept = new Map();
    this.fields = dataset === null ? [] : shownFields(dataset);
  }

  get across() {
    return Math.max(1, Math.floor(this.page.box.clientWidth / TILE));
  }

  /** The pixels that a row needs at least: where there are fewer, the table scrolls sideways. */
  get least() {
    return this.fields.reduce((sum, [, type]) => sum + (isWide(type) ? WIDE : NARROW), NUMBER);
  }

  head() {
    const names = [["#", ""], ...this.fields].map(([key, type]) => {
      return element("span", { role: "columnheader", text: String(key), title: type ? `${key}: ${type}` : null, class: type ? widthOf(type) : "position" });
    });
    return element("div", { class: "row head", role: "row" }, names);
  }

  rows(first, length) {
    return Array.from({ length }, (_, k) => {
      const position = this.page.order.at(first + k);
      const number = element("span", { class: "position", role: "rowheader", text: this.#name(position) });
      const row = element("div", { class: "row", role: "row", "aria-rowindex": first + k + 2, ...this.#attributes(position) }, number);
      return this.#fill(row, position, (values) => values.map((value, n) => element("span", { role: "cell", class: widthOf(this.fields[n][1]) }, brief(value, this.fields[n][1]))));
    });
  }

  tiles(first, length) {
    return Array.from({ length }, (_, k) => {
      const line = element("div", { class: "tiles", role: "row", "aria-rowindex": first + k + 1 });
      const start = (first + k) * this.across;
      for (let n = start; n < start + this.across; n++) line.append(this.#tile(n));
      return line;
    });
  }

  #tile(n) {
    const { order } = this.page;
    if (n >= order.length) return element("div", { class: "tile empty", role: "cell" });
    const position = order.at(n);
    const tile = element("div", { class: "tile", role: "cell", ...this.#attributes(position) });
    return this.#fill(tile, position, (values) => this.#inTile(position, values));
  }

  #inTile(position, values) {
    const shown = values.map((value, k) => brief(value, this.fields[k][1]));
    const main = Math.max(0, shown.findIndex((one) => ["IMG", "CANVAS", "svg"].includes(one.tagName)));
    const words = [this.#name(position), ...shown.filter((_, k) => k !== main).map((one) => one.textContent).filter(Boolean)];
    const record = Object.fromEntries(this.fields.map(([key], k) => [key, values[k]]));
    const shapes = shown[main].tagName === "IMG" ? shapesIn(record, this.page.chosen) : [];
    const picture = shapes.length ? withShapes(shown[main], shapes) : shown[main];
    return [element("div", { class: "picture" }, picture), element("div", { class: "words", text: words.join(" · ") })];
  }

  #name(position) {
    return `${this.page.marked.has(position) ? "★ " : ""}${count(position)}`;
  }

  #attributes(position) {
    const isCurrent = position === this.page.selected;
    return { "aria-current": isCurrent ? "true" : null, onclick: () => this.page.select(position) };
  }

  /** Fills an element with a record as soon as it is there. */
  #fill(made, position, draw) {
    this.#record(position).then((found) => {
      if (found.error) made.append(element("span", { class: "damaged", role: "cell", text: inWords(found.error) }));
      else made.append(...draw(found.values));
    });
    return made;
  }

  /** A record, once it is there: kept for a while, so that scrolling back is free. */
  #record(position) {
    const kept = this.kept.get(position);
    if (kept !== undefined) return kept;
    const record = new Promise((resolve) => this.#wanted.push({ position, resolve }));
    if (this.#wanted.length === 1) queueMicrotask(() => this.#read());
    this.kept.set(position, record);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return record;
  }

  /** Reads the records that were asked for since the last time, some of them together. */
  #read() {
    const { dataset, fields } = this;
    const wanted = this.#wanted.splice(0);
    for (let start = 0; start < wanted.length; start += TOGETHER) {
      const some = wanted.slice(start, start + TOGETHER);
      linesAt(dataset, some.map(({ position }) => position), fields).then((records) => some.forEach(({ resolve }, k) => resolve(records[k])));
    }
  }
}

/** What lines show of some records: of each `{ values }` or `{ error }`. Sounds and videos are not read for that. */
async function linesAt(dataset, positions, fields) {
  const isRead = ([key, type]) => typeof key === "number" || !PLAYED.test(type);
  const read = fields.filter(isRead).map(([key]) => key);
  const records = await recordsAt(dataset, positions, read);
  if (read.length === fields.length) return records;
  return Promise.all(records.map(async ({ values, error }, k) => {
    if (error) return { error };
    const { payloads } = await dataset.describe(positions[k]);
    const sizes = new Map(payloads.map(({ field, size }) => [field, size === null ? null : new Unread(size)]));
    return { values: fields.map((field) => (isRead(field) ? values[read.indexOf(field[0])] : sizes.get(field[0]))) };
  }));
}
