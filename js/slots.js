// The slots of an `.idx`: whether it can be used, and for which part of the log.

import { SHORT_ROW, hasMagic, u16, u32, u64 } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { CorruptError, StaleViewError, UnsupportedVersionError, need } from "./errors.js";
import { List } from "./list.js";
import { replay } from "./replay.js";
import { Rows } from "./rows.js";

/** Fills the list of a log: from a view, or from its index and what the log has behind that. `idx` may be null. */
export async function readIndex(log, idx, isView) {
  const slots = idx === null ? [] : await readSlots(log, idx);
  log.isView = isView || slots.some((slot) => slot.flags & 1);
  const own = slots.filter((slot) => slot.isOwn);
  const vouched = Math.max(0, ...own.filter((slot) => slot.version === 2).map((slot) => Math.max(slot.covered, slot.end)));
  const cut = "the log ends before what its index vouches for: it was cut short, or is an older copy (then remove the .idx)";
  need(vouched <= log.rec.size, cut, log.rec.size);
  if (log.isView) {
    const view = slots.find((slot) => slot.flags & 1);
    need(view, "the view is damaged, or none");
    need(view.version === 2 && view.flags === 1, "a view of another version", undefined, UnsupportedVersionError);
    need(view.isOwn, "a view of another dataset", undefined, StaleViewError);
    const problem = await problemOf(log, view, idx);
    if (problem) throw problem;
    use(log, view, idx);
    return;
  }
  let usable = null;
  for (const slot of own) if (!usable && !(await problemOf(log, slot, idx))) usable = slot;
  if (usable) use(log, usable, idx);
  else if (idx) log.warnings.push("the index cannot be used: the list was made again from the log");
  await replay(log, vouched, usable !== null);
  const isUnvouched = own.length === 0 && log.mark.end < log.rec.size;
  if (isUnvouched) log.warnings.push(`what follows byte ${log.mark.end} is not whole: the file may have been cut`);
}

/** The slots whose magic and checksum are right, the one with the highest seq first. */
async function readSlots(log, idx) {
  const slots = [];
  for (const offset of [0, 4096]) {
    const bytes = await idx.read(offset, 128);
    if (bytes.length < 128 || !hasMagic(bytes, 0, "X") || crc32(bytes, 0, 12) !== u32(bytes, 8)) continue;
    slots.push({
      version: u16(bytes, 12), flags: u16(bytes, 14), isOwn: log.header.id.every((byte, i) => byte === bytes[16 + i]),
      seq: (BigInt(u32(bytes, 36)) << 32n) | BigInt(u32(bytes, 32)), count: u64(bytes, 40), covered: u64(bytes, 48),
      last: u64(bytes, 56), check: u32(bytes, 64), base: u32(bytes, 68), size: u32(bytes, 72), salt: u32(bytes, 76),
      edits: u64(bytes, 80), metadata: u64(bytes, 88), end: u64(bytes, 96),
    });
  }
  return slots.sort((one, other) => (one.seq < other.seq ? 1 : -1));
}

/** The error of a slot that cannot be used; null if it can. */
async function problemOf(log, slot, idx) {
  const { header } = log;
  if (slot.version !== 2 || slot.flags > 1) return new UnsupportedVersionError("an index of another version");
  const isRight = slot.base === 8192 + header.size && [SHORT_ROW, 8 + header.head].includes(slot.size);
  const isPossible = slot.end >= slot.covered && slot.seq < 2n ** 63n && slot.edits < 2 ** 63;
  if (!isRight || !isPossible) return new CorruptError("the index is damaged");
  if (slot.base + slot.size * slot.count > idx.size) return new CorruptError("rows of the index are missing");
  const stale = new StaleViewError("a view of a copy of the dataset that was edited apart");
  const isOfNothing = slot.last === 0 && slot.count > 0;
  const hasBeen = await log.hasBeen({ ...slot, end: slot.covered });
  return hasBeen && !isOfNothing ? null : stale;
}

function use(log, slot, idx) {
  log.rows = new Rows(log, idx, slot);
  log.list = new List(slot.count);
  log.mark = { end: slot.covered, last: slot.last, check: slot.check, edits: slot.edits, metadata: slot.metadata };
}
