// The log, replayed: what its batches do to the list, and where it ends.

import { COMMIT, METADATA, SKIPPED, isPending, isRecord, u32, u64 } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { CorruptError, TORN, UnsupportedVersionError, need, whole } from "./errors.js";

const LOOKS = 16; // how often a search for a frame may read the same byte, on average

/**
 * Goes through the log from the end of a log's `mark` on, and applies each whole batch to its list. `vouched`: up to where an
 * index has seen it; `hasIndex`: whether one is used. Throws where something is damaged that was whole.
 */
export async function replay(log, vouched, hasIndex) {
  const durable = hasIndex ? vouched : log.rec.size;
  let [at, check, held] = [log.mark.end, log.mark.check, null]; // held: a whole batch, which may be the last one
  let open = { offsets: [], start: at, total: 0 };
  let fault = null;
  try {
    while (at < log.rec.size) {
      const frame = await log.frame(at);
      requireFollows(frame, check, open);
      if (isRecord(frame.kind)) {
        await log.payloads(frame);
        if (at >= durable) await verifyPayloads(log, at);
        open.offsets.push(at);
      }
      at += frame.size;
      if (isPending(frame.kind)) {
        open.total = crc32(frame.head, open.total, 0, 4);
        continue;
      }
      if (held) apply(log, held);
      check = frame.check;
      held = { ...open, frame };
      open = { offsets: [], start: at, total: 0 };
    }
    if (at > open.start) fault = new CorruptError("pending records without a commit", { offset: open.start });
  } catch (error) {
    if (!error[TORN]) throw error;
    fault = error;
  }
  const faultOfLast = held && !hasIndex ? await faultOf(log, held) : null;
  if (held && !faultOfLast) apply(log, held);
  fault = faultOfLast ?? fault;
  if (log.mark.end < log.rec.size) await searchBehind(log, fault);
  if (log.mark.end < vouched) throw fault;
}

/** Throws unless a frame may follow those before it. */
function requireFollows({ at, kind, prev }, check, open) {
  if (isPending(kind)) {
    whole(prev === 0, "a pending frame that names a frame before it", at);
    return;
  }
  const isUnknown = kind > METADATA && kind < SKIPPED && (prev === check || prev === 0);
  need(!isUnknown, `a frame of the unknown kind ${kind}`, at, UnsupportedVersionError);
  need(prev === check, "the frame names another one than that before it", at);
  need(kind === COMMIT || open.offsets.length === 0, "the pending records before it have no commit", at);
}

/** Verifies the payloads that lie in a frame: those that a revision keeps are of frames before it. */
async function verifyPayloads(log, at) {
  const places = await log.payloads(await log.frame(at));
  for (const [i, place] of places.entries()) if (place && place.offset >= at) await log.payload(place, i);
}

/** What is wrong with the payloads of a batch; null if nothing is. */
async function faultOf(log, { offsets }) {
  try {
    for (const at of offsets) await verifyPayloads(log, at);
    return null;
  } catch (error) {
    if (error[TORN]) return error;
    throw error;
  }
}

function apply(log, { offsets, start, total, frame }) {
  const { at, kind, head, size, check } = frame;
  for (const offset of offsets) log.list.push(-offset);
  if (kind === METADATA) log.mark.metadata = at;
  if (kind === COMMIT) {
    const isOurs = u64(head, 16) === start && u64(head, 24) === offsets.length && u32(head, 32) === total;
    need(isOurs, "a commit of other frames", at);
    const op = u32(head, 36);
    need(op <= 2, `an edit of the unknown kind ${op}`, at, UnsupportedVersionError);
    const numbers = Array.from({ length: (size - 40) / 8 }, (_, i) => u64(head, 40 + 8 * i));
    if (op === 1) need(log.list.takeLast(numbers), "an edit takes a position that is not there", at);
    if (op === 2) need(log.list.delete(numbers), "an edit deletes ranges that are not there", at);
    if (op) log.mark.edits++;
  }
  Object.assign(log.mark, { end: at + size, last: at, check });
}

/** Throws the fault that ended the reading if a whole frame that is not pending lies behind it. */
async function searchBehind(log, fault) {
  const { size } = log.rec;
  let looks = LOOKS * (size - log.mark.end) + 2 ** 26;
  for (let start = log.mark.end + 8; start < size - 15; start += 2 ** 20) {
    const bytes = await log.rec.read(start, 2 ** 20 + 8);
    for (let i = 0; i + 16 <= bytes.length && i < 2 ** 20; i += 8) {
      if (bytes[i + 15] !== 0xd5 || isPending(bytes[i + 14])) continue;
      looks -= isRecord(bytes[i + 14]) ? log.header.head : Math.min(u32(bytes, i + 8), size);
      need(looks > 0, "too many beginnings of frames that do not verify", start + i);
      const found = await log.frame(start + i).catch((error) => error);
      if (!found[TORN]) throw fault;
    }
  }
}
