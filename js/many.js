// Many files as one dataset, each opened when it is first needed.

import { limited } from "./limited.js";

const TOGETHER = 64; // records that are read at the same time

/** What `Dataset` has, of files one behind the other. */
export class Many {
  constructor(parts, fields, metadata, name) {
    this.parts = parts;
    this.fields = fields;
    this.metadata = metadata;
    this.name = name;
    this.warnings = [];
    this.isView = false;
    this.starts = [0];
    for (const { count } of parts) this.starts.push(this.starts.at(-1) + count);
  }

  get count() {
    return this.starts.at(-1);
  }

  async get(position, fields = null) {
    const { part, own } = await this.#place(position);
    return part.get(own, fields);
  }

  async stored(position) {
    const { part, own } = await this.#place(position);
    return part.stored(own);
  }

  async describe(position) {
    const { part, own } = await this.#place(position);
    return { file: part.name, ...(await part.describe(own)) };
  }

  async batch(positions, fields = null) {
    const records = await limited([...positions], TOGETHER, (position) => this.get(position, fields));
    if (this.fields[0].name === null) {
      const width = fields?.length ?? this.fields.length;
      return Array.from({ length: width }, (_, k) => records.map((record) => record[k]));
    }
    const names = fields?.map((name) => this.fields[name]?.name ?? name) ?? this.fields.map(({ name }) => name);
    return Object.fromEntries(names.map((name) => [name, records.map((record) => record[name])]));
  }

  async column(name) {
    const columns = [];
    for (let number = 0; number < this.parts.length; number++) {
      const part = await this.#part(number);
      const column = await part.column(name);
      columns.push(column.length > this.parts[number].count ? column.slice(0, this.parts[number].count) : column);
    }
    if (Array.isArray(columns[0])) return columns.flat();
    const joined = new columns[0].constructor(this.count);
    columns.forEach((column, number) => joined.set(column, this.starts[number]));
    return joined;
  }

  async scan(names, each, { start = 0, stop = this.count, ...options } = {}) {
    for (let number = 0; number < this.parts.length; number++) {
      const first = this.starts[number];
      const from = Math.max(start, first);
      const to = Math.min(stop, this.starts[number + 1]);
      if (from >= to) continue;
      const part = await this.#part(number);
      const shifted = (block) => {
        const damaged = new Map([...block.damaged].map(([i, words]) => [first + i, words]));
        return each({ ...block, start: first + block.start, damaged });
      };
      await part.scan(names, shifted, { start: from - first, stop: to - first, ...options });
    }
  }

  async close() {
    for (const { opened } of this.parts) await (await opened)?.close();
  }

  #part(number) {
    const part = this.parts[number];
    part.opened ??= part.open();
    part.opened.catch(() => (part.opened = undefined));
    return part.opened;
  }

  async #place(position) {
    const i = position < 0 ? position + this.count : position;
    const isThere = Number.isInteger(i) && i >= 0 && i < this.count;
    if (!isThere) throw new RangeError(`index ${position} is out of range: ${this.count} records`);
    let [low, high] = [0, this.parts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= i) low = middle;
      else high = middle;
    }
    return { part: await this.#part(low), own: i - this.starts[low] };
  }
}
