// The rows of an index or a view: where each record is, and its head where records have payloads.

import { REVISION, SHORT_ROW, WORD, isNone, isRecord, padded, u16, u32, u64 } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { need } from "./errors.js";

export class Rows {
  constructor(log, idx, { base, size, salt, count }) {
    Object.assign(this, { log, idx, base, size, salt, count });
  }

  /** The frame that a row leads to, verified. */
  async frame(number) {
    const row = await this.idx.read(this.base + number * this.size, this.size);
    need(row.length === this.size, "a row of the index is missing");
    if (this.size > SHORT_ROW) return this.#frameOf(number, row, row.subarray(8));
    this.requireInside(u64(row, 0));
    return this.#frameOf(number, row, await this.log.rec.read(u64(row, 0), this.log.header.head));
  }

  /** Throws unless a record can be at an offset of the log. */
  requireInside(at) {
    const { header, mark } = this.log;
    const isInside = at % 8 === 0 && at >= header.size && at + header.head <= mark.end;
    need(isInside, "the index's row points outside of the log", at);
  }

  /** The frame that a row leads to, and whose head is given. */
  #frameOf(number, row, head) {
    this.verify(number, row, 0, row.length, head, 0);
    const frame = { at: u64(row, 0), kind: head[14], prev: u32(head, 4), head };
    return { ...frame, size: u32(head, 8) + u16(head, 12) * WORD, check: this.#checkIn(number, row, 0, row.length) };
  }

  /** The check of the frame that a row leads to. */
  #checkIn(number, rows, start, length) {
    const mixed = u32(rows, start + (length > SHORT_ROW ? 8 : 12));
    return (mixed ^ Math.imul(number, 0x9e3779b1) ^ this.salt) >>> 0;
  }

  /**
   * Verifies a row, `length` bytes of `rows`, and the head that it leads to, which begins at `from` in `heads`. Reads
   * and makes nothing, as it is called for millions.
   */
  verify(number, rows, start, length, heads, from) {
    const { header } = this.log;
    const at = u64(rows, start);
    this.requireInside(at);
    const check = this.#checkIn(number, rows, start, length);
    need(length > SHORT_ROW || u32(heads, from) === check, "the index's row is of another record", at);
    const kind = heads[from + 14];
    const size = u32(heads, from + 8) + u16(heads, from + 12) * WORD;
    need(isRecord(kind) && heads[from + 15] === 0xd5 && size % 8 === 0, "no record has such a frame", at);
    need(kind !== REVISION || header.payloads > 0, "no record has such a frame", at);
    const found = crc32(heads, header.seed, from + 4, from + header.head) ^ (Math.floor(at / 8) % WORD);
    need(found >>> 0 === check, "the frame's check is wrong", at);
    need(at + size <= this.log.mark.end, "the frame reaches beyond the log", at);
    const eighths = length > SHORT_ROW ? WORD - 1 : u32(rows, start + 8);
    need(eighths === WORD - 1 || eighths === size / 8, "the index's row has another size", at);
    const isWhole = kind === REVISION ? size >= header.head : size === this.#sizeOf(heads, from);
    need(isWhole, "a frame of another size than its payloads", at);
  }

  /** What the frame of a record without a table takes. */
  #sizeOf(heads, from) {
    let size = this.log.header.head;
    for (let at = from + 16; at < from + 16 + 8 * this.log.header.payloads; at += 8) {
      if (!isNone(heads, at)) size += padded(u64(heads, at));
    }
    return size;
  }
}
