// The header of a `.rec`: which fields there are, and where they lie in a head.

import { hasMagic, padded, u16, u32 } from "./bytes.js";
import { crc32 } from "./crc32.js";
import { CorruptError, UnsupportedVersionError, need } from "./errors.js";
import { isObject, parseJson } from "./json.js";
import { parseType } from "./types.js";

/** The header: `size`, `check`, `id`, `seed`, `fields`, `head`, `payloads`, `metadata`. */
export async function readHeader(rec) {
  const start = await rec.read(0, 40);
  need(start.length > 0, "empty", 0);
  need(start.length >= 8 && hasMagic(start, 0, "R"), "not a DSRecords file", 0);
  need(start.length === 40, "the header is cut short", start.length);
  const version = u16(start, 12);
  need(version === 2, `format version ${version}: this reader reads version 2`, 12, UnsupportedVersionError);
  need(start[14] === 0, `read flags ${start[14]}, which this reader does not know`, 14, UnsupportedVersionError);
  const [check, size, length] = [u32(start, 8), u32(start, 16), u32(start, 20)];
  const isPossible = size % 4096 === 0 && 40 + length <= size && size <= 2 ** 24;
  need(isPossible, `the header claims ${size} bytes with ${length} of JSON`, 16);
  const bytes = await rec.read(0, size);
  need(bytes.length === size, "the header is cut short", bytes.length);
  need(crc32(bytes, 0, 12) === check, "the header's checksum is wrong", 8);
  const id = bytes.slice(24, 40);
  return { size, check, id, seed: crc32(id), ...parseFields(parsed(bytes.subarray(40, 40 + length), 40, "the header's JSON")) };
}

/** The object in JSON. `what` it is, for the error. */
export function parsed(bytes, offset, what) {
  try {
    const value = parseJson(bytes);
    if (isObject(value)) return value;
  } catch (error) {
    throw new CorruptError(`${what}: ${error.message}`, { offset });
  }
  throw new CorruptError(`${what}: not an object`, { offset });
}

/** The fields that JSON states, of a header or a manifest, and the layout that follows from their types. */
export function parseFields({ fields: stated, head: statedHead, metadata = {} }) {
  const wrong = (reason) => new CorruptError(`the header's JSON: ${reason}`, { offset: 40 });
  if (!Array.isArray(stated) || stated.length < 1 || stated.length > 4096) throw wrong("1 to 4096 fields");
  if (!isObject(metadata)) throw wrong("the metadata is no object");
  let payloads = 0;
  const fields = stated.map((field) => {
    if (!isObject(field) || typeof field.type !== "string") throw wrong("a field without a type");
    const type = parseType(field.type);
    const isPayload = type.kind === "unknown" ? "payload" in field : type.width === 0;
    need(isPayload || type.width, `the type ${field.type} is not known here`, 40, UnsupportedVersionError);
    return { name: field.name ?? null, type, dict: field.dict, payload: isPayload ? payloads++ : null, at: null, present: null };
  });
  const names = fields.map((field) => field.name).filter((name) => name !== null);
  const areNames = names.every((name) => typeof name === "string" && name !== "") && new Set(names).size === names.length;
  if (!areNames || ![0, fields.length].includes(names.length)) throw wrong("the names of its fields");
  let head = 16 + 12 * payloads;
  for (const width of [16, 8, 4, 2, 1]) {
    for (const field of fields.filter((one) => one.type.width === width)) {
      field.at = Math.ceil(head / width) * width;
      head = field.at + width;
    }
  }
  for (const field of fields) if (field.type.width && field.type.optional) field.present = head++;
  head = padded(head);
  const isSame = fields.every((field, i) => ["payload", "at", "present"].every((key) => field[key] === (stated[i][key] ?? null)));
  if (!isSame || statedHead !== head) throw wrong("a layout that does not follow from the types");
  return { fields, head, payloads, metadata };
}
