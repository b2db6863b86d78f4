// A `.rec` and its index as bytes, as docs/records-format.md has them; what they mean is for values.js.

import { COMMIT, METADATA, REVISION, SKIPPED, WORD, isNone, isPending, isRecord, padded, u16, u32, u64 } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { need, whole } from "./errors.js";
import { parsed, readHeader } from "./header.js";
import { List } from "./list.js";
import { readIndex } from "./slots.js";

/** A `.rec`, and what it means together with an index or a view: `list` has the place of each record. */
export class Log {
  /** Opens one. `rec`, `idx`: pages of both; `idx` may be null; `isView`: whether `idx` is a view, or an error. */
  static async open(rec, idx, isView) {
    const log = new Log(rec, await readHeader(rec));
    await readIndex(log, idx, isView);
    return log;
  }

  constructor(rec, header) {
    this.rec = rec;
    this.header = header;
    this.list = new List(0);
    this.warnings = [];
    this.mark = { end: header.size, last: 0, check: header.check, edits: 0, metadata: 0 };
    this.rows = null;
    this.isView = false;
  }

  // Frames

  /** The frame at an offset, whose head is verified. */
  async frame(at) {
    let head = await this.rec.read(at, Math.max(40, this.header.head));
    whole(head.length >= 16, "the frame is cut short", at);
    const { kind, size, covered } = this.framed(at, head);
    if (head.length < covered) head = await this.rec.read(at, covered);
    this.verify(at, head, covered, u32(head, 0));
    const most = { [COMMIT]: 2 ** 28, [METADATA]: 2 ** 24 }[kind] ?? size;
    need(size <= most, `a frame of ${size} bytes, which is too large`, at);
    return { at, kind, size, check: u32(head, 0), prev: u32(head, 4), head: head.subarray(0, covered) };
  }

  /** What the first 16 bytes of a frame say, if they can be: its kind, its size, how much of it its check covers. */
  framed(at, head) {
    const { header, rec } = this;
    const [size, kind] = [u32(head, 8) + u16(head, 12) * WORD, head[14]];
    const isKind = head[15] === 0xd5 && kind !== 0 && (kind !== REVISION || header.payloads > 0) && size % 8 === 0;
    whole(isKind, "no frame is here", at);
    let [covered, least] = isRecord(kind) ? [header.head, header.head] : [size, 16];
    if (kind === REVISION) least += 8 * header.payloads + 8;
    if (kind === COMMIT) least = 40;
    if (kind === METADATA) least = 24;
    if (kind >= SKIPPED) covered = least = 32;
    whole(size >= least, `a frame of ${size} bytes`, at);
    whole(at + size <= rec.size, "the frame is cut short", at);
    return { kind, size, covered };
  }

  verify(at, head, covered, check) {
    const found = (crc32(head, this.header.seed, 4, covered) ^ (Math.floor(at / 8) % WORD)) >>> 0;
    whole(found === check, "the frame's check is wrong", at);
  }

  /** Of each payload of a record {offset, size, checksum}, or null if it is None. */
  async payloads({ at, kind, size: total, check, head }) {
    const { payloads: count, size: start, head: headSize } = this.header;
    const isRevision = kind === REVISION;
    const where = isRevision ? at + headSize : at;
    let [free, table] = [at + headSize, null];
    if (isRevision) {
      table = await this.rec.read(free, 8 * count + 8);
      const right = crc32(table, crc32(new Uint8Array(new Uint32Array([check]).buffer)), 0, 8 * count);
      const isTable = u32(table, 8 * count) === right && u32(table, 8 * count + 4) === 0;
      whole(isTable, "the table of a revision is damaged", where);
      free += table.length;
    }
    const found = [];
    for (let i = 0; i < count; i++) {
      const none = isNone(head, 16 + 8 * i);
      const size = none ? 0 : u64(head, 16 + 8 * i);
      const offset = table === null ? free : u64(table, 8 * i);
      const isNew = size > 0 && offset >= at;
      let isRight = table === null || offset === 0;
      if (size > 0) isRight = isNew ? offset === free : offset % 8 === 0 && offset >= start && offset + size <= at;
      whole(isRight, "a payload cannot be where the table says", where);
      if (isNew) free += padded(size);
      found.push(none ? null : { offset, size, checksum: u32(head, 16 + 8 * count + 4 * i) });
    }
    whole(free === at + total, "a frame of another size than its payloads", where);
    return found;
  }

  /** The bytes of a payload, verified. `bytes`: those of it, if they have been read already. */
  async payload(place, number, bytes = null) {
    bytes ??= await this.rec.source.read(place.offset, place.size);
    const isRight = bytes.length === place.size && crc32(bytes) === place.checksum;
    const field = this.header.fields.findIndex((one) => one.payload === number);
    const name = this.header.fields[field].name ?? field;
    whole(isRight, "the checksum is wrong", place.offset, { field: name });
    return bytes;
  }

  /** Whether the log has been at a moment: `end`, and `last` with `check`, as of a slot. */
  async hasBeen({ end, last, check }) {
    if (last === 0) return end === this.header.size && check === this.header.check;
    if (last < this.header.size || last > this.rec.size - 16) return false;
    const frame = await this.rec.read(last, 16);
    const size = u32(frame, 8) + u16(frame, 12) * WORD;
    const isLink = u32(frame, 0) === check && frame[15] === 0xd5 && frame[14] !== 0 && !isPending(frame[14]);
    return isLink && last + size === end;
  }

  // Records

  /** The frame of a record; its head is from the row if that holds it. */
  async record(i) {
    const place = this.list.at(i);
    return place < 0 ? this.frame(-place) : this.rows.frame(place);
  }

  /** The object that belongs to the user. */
  async metadata() {
    const { metadata: at, end } = this.mark;
    if (at === 0) return this.header.metadata;
    const isInside = at % 8 === 0 && at >= this.header.size && at < end;
    const frame = isInside ? await this.frame(at) : null;
    need(frame?.kind === METADATA, "the index says that metadata is here", at);
    const length = u64(frame.head, 16);
    need(frame.size === 24 + padded(length), "the metadata does not fill its frame", at);
    return parsed(frame.head.subarray(24, 24 + length), at, "the metadata");
  }
}
