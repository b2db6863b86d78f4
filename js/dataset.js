// A dataset as users hold it: one file, its index or a view of it.

import { CorruptError, DSRecordsError, SchemaError } from "./errors.js";
import { u64 } from "./bytes.js";
import { payload, scalar, storedScalar } from "./values.js";
import { Column } from "./columns.js";
import { limited } from "./limited.js";

const FREE = 64 * 2 ** 20; // bytes that zstd may make within a record, whatever its size
const GAP = 2 ** 14; // bytes between two payloads that are read all the same, as one request costs more
const MOST_AT_ONCE = 2 ** 23; // bytes of a request
const REQUESTS = 6; // at the same time
const ROWS_AT_ONCE = 2 ** 20; // bytes of rows, or of heads in the log: so many that a page stays awake meanwhile
const RECORDS_AT_ONCE = 256; // of which payloads are read

/** The records of a log, as its index or a view of it lists them. */
export class Dataset {
  constructor(log, name) {
    this.log = log;
    this.name = name;
  }

  /** How many records there are. */
  get count() {
    return this.log.list.length;
  }

  /** `{ name, type }` of each field; the name is null where fields have none. */
  get fields() {
    return this.log.header.fields.map(({ name, type }) => ({ name, type: type.name }));
  }

  /** What an opening tells: that an index could not be used, that the end of the file is not whole. */
  get warnings() {
    return this.log.warnings;
  }

  /** Whether this is a view. */
  get isView() {
    return this.log.isView;
  }

  /** The metadata, an object that belongs to the user. */
  metadata() {
    return this.#where({}, () => this.log.metadata());
  }

  /** The record at a position, which may be negative: an object, or an array where fields have no names. */
  async get(position, fields = null) {
    const i = this.#position(position);
    const chosen = this.#chosen(fields);
    const [values] = await this.#read([i], chosen);
    return this.#named(chosen, values);
  }

  /** The values of each field of some records: an object of arrays, or an array of arrays. */
  async batch(positions, fields = null) {
    const chosen = this.#chosen(fields);
    const records = await this.#read([...positions].map((position) => this.#position(position)), chosen);
    return this.#named(chosen, chosen.map((_, k) => records.map((values) => values[k])));
  }

  /**
   * The values of a field of all records: a typed array of numbers without a `?`, else an array. The heads of records are
   * read in order, from the index if it holds them, and dropped again.
   */
  async column(name) {
    const [field] = this.#chosen([name]);
    if (field.payload !== null) return this.#payloadColumn(field);
    const column = new Column(field, this.count);
    await this.scan([name], ({ start, columns: [part] }) => column.put(part, start));
    return column.values();
  }

  /**
   * Goes through the heads of all records, block by block: `each({ start, count, columns, damaged })`, which may be async.
   * There is a `Column` of each field; of payloads, it has their sizes. `damaged` are records that do not verify, in
   * words: without `skipDamaged` the first one is thrown.
   */
  async scan(names, each, { skipDamaged = false, start = 0, stop = this.count } = {}) {
    const chosen = this.#chosen(names);
    const most = Math.max(1, Math.floor(ROWS_AT_ONCE / (16 + this.log.header.head)));
    const sizeAt = (first) => Math.min(most, stop - first);
    let coming = start < stop ? this.#heads(start, sizeAt(start)) : null;
    for (let first = start; first < stop; first += most) {
      const count = sizeAt(first);
      const heads = await coming;
      const next = first + most;
      if (next < stop) coming = this.#heads(next, sizeAt(next)); // is read while this block is worked on
      coming.catch(() => {}); // where this block fails, nobody waits for the next one
      const columns = chosen.map((field) => new Column(field, count));
      const damaged = this.#taken(first, count, heads, columns, skipDamaged);
      await each({ start: first, count, columns, damaged });
    }
  }

  /** Puts the values in some heads into columns. Returns in words which of the records are damaged, or throws the first one. */
  #taken(first, count, heads, columns, skipDamaged) {
    const damaged = new Map();
    for (let i = 0; i < count; i++) {
      try {
        const at = heads.at(i);
        const bytes = heads.bytes(i);
        for (const column of columns) column.take(i, bytes, at);
      } catch (error) {
        if (!(error instanceof DSRecordsError)) throw error;
        error.at({ file: this.name, record: first + i });
        if (!skipDamaged) throw error;
        damaged.set(first + i, error.message);
      }
    }
    return damaged;
  }

  /** Where a record is, and what is known of its checksums, without decoding it: for those who look for damage. */
  async describe(position) {
    const i = this.#position(position);
    return this.#where({ record: i }, async () => {
      const { at, kind, size, check, head } = await this.log.record(i);
      const places = await this.log.payloads({ at, kind, size, check, head });
      const payloads = this.log.header.fields.filter((field) => field.payload !== null).map((field) => {
        return { field: field.name, type: field.type.name, ...(places[field.payload] ?? { offset: null, size: null }) };
      });
      return { offset: at, kind, size, check, payloads };
    });
  }

  /** A record as it is stored: numbers that stand for scalars, the bytes of payloads, null. */
  async stored(position) {
    const i = this.#position(position);
    return this.#where({ record: i }, async () => {
      const frame = await this.log.record(i);
      const places = await this.log.payloads(frame);
      return Promise.all(this.log.header.fields.map((field) => this.#storedOf(field, frame, places)));
    });
  }

  async #storedOf(field, { head }, places) {
    if (field.payload === null) return isAbsent(field, head) ? null : storedScalar(field.type, head, field.at);
    const place = places[field.payload];
    return place && this.log.payload(place, field.payload);
  }

  /** Closes the files, where they have to be (under Node). */
  async close() {
    await this.log.rec.source.close?.();
    await this.log.rows?.idx.source.close?.();
  }

  // Many records

  async #read(positions, chosen) {
    const frames = await limited(positions, 64, (i) => this.#where({ record: i }, () => this.log.record(i)));
    const payloads = chosen.filter((field) => field.payload !== null);
    const wanted = [];
    for (const [k, frame] of frames.entries()) {
      if (!payloads.length) break;
      const places = await this.#where({ record: positions[k] }, () => this.log.payloads(frame));
      for (const field of payloads) wanted.push({ k, field, place: places[field.payload] });
    }
    await this.#fetch(wanted.filter(({ place }) => place !== null));
    const bytes = frames.map(() => new Map());
    for (const { k, field, bytes: own } of wanted) bytes[k].set(field, own ?? null);
    return Promise.all(
      frames.map((frame, k) =>
        Promise.all(chosen.map((field) => this.#decoded(field, frame, bytes[k].get(field), positions[k]))),
      ),
    );
  }

  /** Reads the payloads of records, those that lie close together at once. */
  async #fetch(wanted) {
    const sorted = wanted.toSorted((one, other) => one.place.offset - other.place.offset);
    const runs = [];
    for (const one of sorted) {
      const { offset, size } = one.place;
      const run = runs.at(-1);
      const isNear = run && offset - run.stop <= GAP && offset + size - run.start <= MOST_AT_ONCE;
      if (isNear) run.stop = Math.max(run.stop, offset + size);
      else runs.push({ start: offset, stop: offset + size, of: [] });
      runs.at(-1).of.push(one);
    }
    await limited(runs, REQUESTS, async ({ start, stop, of }) => {
      const bytes = await this.log.rec.source.read(start, stop - start);
      for (const one of of) one.bytes = bytes.subarray(one.place.offset - start, one.place.offset - start + one.place.size);
    });
    for (const one of wanted) one.bytes = one.bytes.length === one.bytes.buffer.byteLength ? one.bytes : one.bytes.slice();
  }

  #decoded(field, frame, bytes, record) {
    const name = field.name ?? this.log.header.fields.indexOf(field);
    return this.#where({ record, field: name, offset: frame.at }, async () => {
      if (field.payload === null) return isAbsent(field, frame.head) ? null : scalar(field.type, frame.head, field.at);
      if (bytes === null) {
        if (field.type.optional) return null;
        throw new CorruptError(`None, but the type is ${field.type.name}`);
      }
      const places = await this.log.payloads(frame);
      await this.log.payload(places[field.payload], field.payload, bytes);
      const left = Math.max(FREE, 1000 * bytes.length);
      return payload(field.type, bytes, { dictionary: this.#dictionary(field), left });
    });
  }

  #dictionary(field) {
    if (field.dict === undefined) return null;
    field.dictionary ??= Uint8Array.from(atob(field.dict), (letter) => letter.charCodeAt(0));
    return field.dictionary;
  }

  async #payloadColumn(field) {
    const values = [];
    for (let start = 0; start < this.count; start += RECORDS_AT_ONCE) {
      const length = Math.min(RECORDS_AT_ONCE, this.count - start);
      const records = await this.#read(Array.from({ length }, (_, i) => start + i), [field]);
      for (const [value] of records) values.push(value);
    }
    return values;
  }

  /** The heads of a block: `at(i)` verifies that of record `first + i` and says where it begins in `bytes(i)`; it may throw. */
  async #heads(first, count) {
    const { log } = this;
    if (!log.rows || !log.list.isPlain) return this.#headsOneByOne(first, count);
    const { idx, base, size } = log.rows;
    const rows = await idx.source.read(base + first * size, count * size);
    if (rows.length < count * size) throw new CorruptError("rows of the index are missing", { file: this.name });
    if (size > 16) {
      const at = (i) => {
        log.rows.verify(first + i, rows, i * size, size, rows, i * size + 8);
        return i * size + 8;
      };
      return { bytes: () => rows, at };
    }
    const offsets = Array.from({ length: count }, (_, i) => u64(rows, i * size));
    const [start, last] = minAndMax(offsets);
    const stop = last + log.header.head;
    if (!(stop - start <= 2 * count * log.header.head)) return this.#headsOneByOne(first, count);
    const bytes = await log.rec.source.read(start, stop - start);
    const at = (i) => {
      log.rows.requireInside(offsets[i]);
      log.rows.verify(first + i, rows, i * size, size, bytes, offsets[i] - start);
      return offsets[i] - start;
    };
    return { bytes: () => bytes, at };
  }

  async #headsOneByOne(first, count) {
    const positions = Array.from({ length: count }, (_, i) => first + i);
    const found = await limited(positions, 64, (i) => this.log.record(i).catch((error) => error));
    const at = (i) => {
      if (found[i] instanceof Error) throw found[i];
      return 0;
    };
    return { bytes: (i) => found[i].head, at };
  }

  // What all have in common

  #position(position) {
    const i = position < 0 ? position + this.count : position;
    if (Number.isInteger(i) && i >= 0 && i < this.count) return i;
    throw new RangeError(`index ${position} is out of range: ${this.count} records`);
  }

  #chosen(names) {
    const { fields } = this.log.header;
    if (names === null) return fields;
    return names.map((name) => {
      const field = typeof name === "number" ? fields[name] : fields.find((one) => one.name === name);
      if (field !== undefined) return field;
      const known = fields.map((one, i) => JSON.stringify(one.name ?? i)).join(", ");
      throw new SchemaError(`no field ${JSON.stringify(name)}: a sample has the fields ${known}`);
    });
  }

  #named(chosen, values) {
    if (this.log.header.fields[0].name === null) return values;
    return Object.fromEntries(chosen.map((field, k) => [field.name, values[k]]));
  }

  async #where(where, action) {
    try {
      return await action();
    } catch (error) {
      throw error instanceof DSRecordsError ? error.at({ file: this.name, ...where }) : error;
    }
  }
}

function isAbsent(field, head) {
  return field.present !== null && head[field.present] === 0;
}

function minAndMax(numbers) {
  let [least, largest] = [Infinity, -Infinity];
  for (const number of numbers) {
    if (number < least) least = number;
    if (number > largest) largest = number;
  }
  return [least, largest];
}
