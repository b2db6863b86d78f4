// What bytes mean, by their type: docs/records-format.md, "Payloads, by type".

import { CorruptError, UnsupportedVersionError } from "./errors.js";
import { parseJson } from "./json.js";
import { isNone, padded, u16, u32, u64 } from "./bytes.js";
import { parseType } from "./types.js";
import { timeText } from "./times.js";
import { decompress } from "./zstd.js";

const SUFFIX = /^(\.[^/\\\0]{0,254})?$/su;
const LARGEST = 2 ** 53;
const STRING = parseType("str");
const BYTES = parseType("bytes");
const DTYPES = {
  bool: "|b1", int8: "|i1", int16: "<i2", int32: "<i4", int64: "<i8", uint8: "|u1", uint16: "<u2", uint32: "<u4",
  uint64: "<u8", float16: "<f2", float32: "<f4", float64: "<f8", complex64: "<c8", complex128: "<c16", bfloat16: "bfloat16",
};
const ARRAYS = {
  b1: Uint8Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, i8: BigInt64Array, u1: Uint8Array, u2: Uint16Array,
  u4: Uint32Array, u8: BigUint64Array, f4: Float32Array, f8: Float64Array, c8: Float32Array, c16: Float64Array,
};

function must(condition, reason) {
  if (!condition) throw new CorruptError(reason);
}

// Numbers

function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  let size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  if (exponent === 31) size = fraction === 0 ? Infinity : NaN;
  return bits & 0x8000 ? -size : size;
}

const word = new DataView(new ArrayBuffer(4));

function brain(bits) {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

/** An integer as a number where that is exact, else as a BigInt. */
export function integer(big) {
  return big >= -LARGEST && big <= LARGEST ? Number(big) : big;
}

const READ = {
  int8: (view, at) => view.getInt8(at),
  int16: (view, at) => view.getInt16(at, true),
  int32: (view, at) => view.getInt32(at, true),
  int64: (view, at) => integer(view.getBigInt64(at, true)),
  uint8: (view, at) => view.getUint8(at),
  uint16: (view, at) => view.getUint16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  uint64: (view, at) => integer(view.getBigUint64(at, true)),
  float16: (view, at) => half(view.getUint16(at, true)),
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  bfloat16: (view, at) => brain(view.getUint16(at, true)),
  complex64: (view, at) => [view.getFloat32(at, true), view.getFloat32(at + 4, true)],
  complex128: (view, at) => [view.getFloat64(at, true), view.getFloat64(at + 8, true)],
};

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The number that stands for a scalar: of a category its number, of a time its count of units, of a bfloat16 its bits. */
export function storedScalar(type, bytes, at) {
  const stand = { bool: "uint8", bfloat16: "uint16", category: "uint16", datetime64: "int64", timedelta64: "int64" }[type.kind];
  return READ[stand ?? type.kind](viewOf(bytes), at);
}

/** The value of a scalar. */
export function scalar(type, bytes, at) {
  if (type.kind === "bool") {
    must(bytes[at] < 2, "a bool that is neither 0 nor 1");
    return bytes[at] === 1;
  }
  if (type.kind === "category") {
    const number = u16(bytes, at);
    must(number < type.names.length, `a category of the number ${number}`);
    return type.names[number];
  }
  if (type.unit === undefined) return READ[type.kind](viewOf(bytes), at);
  const count = viewOf(bytes).getBigInt64(at, true);
  if (count === -(2n ** 63n)) return "NaT";
  return type.kind === "timedelta64" ? integer(count) : timeText(count, type.unit);
}

// Arrays

/** An array of NumPy: `dtype` as NumPy writes it ("bfloat16", or a list if it has fields), `shape`, `bytes` in C order. */
export class NDArray {
  constructor(dtype, shape, bytes) {
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
  }

  get length() {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** Its numbers, flat, as a typed array; of complex ones both parts of each. Null of what JavaScript has no numbers for. */
  get values() {
    if (this.dtype === "bfloat16") return Float32Array.from(this.halves(), brain);
    const [, order, code] = /^([<>|])(\w+)/.exec(this.dtype) ?? [];
    const kind = /^[mM]8/.test(code) ? "i8" : code;
    const bytes = order === ">" ? swapped(this.bytes, itemSize(`<${kind}`), kind[0] === "c") : this.bytes.slice();
    if (kind === "f2") return Float32Array.from(new Uint16Array(bytes.buffer, 0, this.length), half);
    const Typed = ARRAYS[kind];
    return Typed === undefined ? null : new Typed(bytes.buffer, 0, bytes.length / Typed.BYTES_PER_ELEMENT);
  }

  halves() {
    return new Uint16Array(this.bytes.slice().buffer);
  }
}

function swapped(bytes, size, isComplex) {
  const step = isComplex ? size / 2 : size;
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = bytes[i - (i % step) + step - 1 - (i % step)];
  return out;
}

/** Bytes of an item of a dtype. Throws CorruptError where it is none, or one of objects. */
function itemSize(dtype, depth = 0) {
  if (dtype === "bfloat16") return 2;
  if (Array.isArray(dtype)) return dtype.reduce((sum, field) => sum + fieldSize(field, depth), 0);
  const found = typeof dtype === "string" ? /^[<>|]([biufcmMSUV])(\d{1,9})(\[\d*\w+\])?$/.exec(dtype) : null;
  must(found !== null, `the dtype ${JSON.stringify(dtype)}`);
  return Number(found[2]) * (found[1] === "U" ? 4 : 1);
}

function fieldSize(field, depth) {
  must(Array.isArray(field) && [2, 3].includes(field.length) && depth < 32, "a dtype whose fields are none");
  const shape = field[2] ?? [];
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  must(isShape, "a dtype with a shape that is none");
  return itemSize(field[1], depth + 1) * shape.reduce((product, size) => product * size, 1);
}

function arrayOf(dtype, shape, bytes) {
  const isPossible = shape.every((size) => size < LARGEST);
  const size = itemSize(dtype) * shape.reduce((product, one) => product * one, 1);
  must(isPossible && size === bytes.length, `${bytes.length} bytes of ${JSON.stringify(dtype)} with shape ${shape}`);
  return new NDArray(dtype, shape, bytes);
}

function shaped({ item, axes }, bytes) {
  let at = 0;
  const shape = axes.map((size) => {
    if (size !== null) return size;
    must(at + 8 <= bytes.length, "an array without its shape");
    at += 8;
    return u64(bytes, at - 8);
  });
  return arrayOf(dtypeOf(item), shape, bytes.subarray(at));
}

function dtypeOf(type) {
  const time = { datetime64: "<M8", timedelta64: "<m8" }[type.kind];
  return time === undefined ? DTYPES[type.kind] : `${time}[${type.unit}]`;
}

function anyArray(bytes) {
  must(bytes.length >= 8, "an array without its dtype");
  const [length, axes] = [u32(bytes, 0), u32(bytes, 4)];
  const start = 8 + 8 * axes;
  const end = start + length;
  must(axes <= 64 && padded(end) <= bytes.length, "an array without its dtype");
  const shape = Array.from({ length: axes }, (_, i) => u64(bytes, 8 + 8 * i));
  return arrayOf(jsonOf(bytes.subarray(start, end)), shape, bytes.subarray(padded(end)));
}

function jsonOf(bytes) {
  try {
    return parseJson(bytes);
  } catch (error) {
    throw new CorruptError(`not JSON: ${error.message}`);
  }
}

function stringOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CorruptError("not str: bytes that are not UTF-8");
  }
}

// Payloads

/** The value of a payload. `dictionary`: of zstd, or null. `budget`: `{ left }`, bytes that may still be made by zstd. */
export async function payload(type, bytes, context, isInside = false) {
  switch (type.kind) {
    case "str": return stringOf(bytes);
    case "json": return jsonOf(bytes);
    case "array": return anyArray(bytes);
    case "shaped": return shaped(type, bytes);
    case "struct": return struct(type.fields, bytes, context);
    case "list": return list(type.item, bytes, context);
    case "map": return map(type.item, bytes, context);
    case "file": return file(bytes, context);
    case "zstd": return zstd(type, bytes, context, isInside);
    case "unknown": throw new UnsupportedVersionError(`the type ${type.name} is not known here`);
    default: return bytes;
  }
}

async function zstd({ item }, bytes, context, isInside) {
  const plain = await decompress(bytes, context.dictionary, isInside);
  context.left -= isInside ? plain.length : 0;
  must(context.left >= 0, "zstd within a record that claims too many bytes");
  return payload(item, plain, context, true);
}

async function list(item, bytes, context) {
  if (item.kind === "struct" && !item.optional) return rows(item.fields, bytes, context);
  must(bytes.length >= 8, "a list without its length");
  const count = u64(bytes, 0);
  if (item.width) return scalars(item, count, bytes);
  must(8 + 8 * count <= bytes.length, `a list of ${count} items`);
  let at = 8 + 8 * count;
  const items = [];
  for (let i = 0; i < count; i++) {
    const size = u64(bytes, 8 + 8 * i);
    if (isNone(bytes, 8 + 8 * i)) {
      must(item.optional, `None, but the type is ${item.name}`);
      items.push(null);
      continue;
    }
    must(at + padded(size) <= bytes.length, `a list with an item of ${size} bytes`);
    items.push(await payload(item, bytes.subarray(at, at + size), context, true));
    at += padded(size);
  }
  must(at === bytes.length, "a list with more behind its items");
  return items;
}

function scalars(item, count, bytes) {
  const presence = 8 + count * item.width;
  must(presence + (item.optional ? count : 0) === bytes.length, `a list of ${count} numbers in ${bytes.length} bytes`);
  return Array.from({ length: count }, (_, i) => {
    if (item.optional && !bytes[presence + i]) return null;
    return scalar(item, bytes, 8 + i * item.width);
  });
}

/** A list of structs, which is stored as a struct of lists. */
async function rows(fields, bytes, context) {
  const stored = fields.map(({ name, type }) => ({ name, type: columnOf(type) }));
  const columns = Object.values(await pairs(stored, bytes, context));
  const lengths = columns.map(([, column]) => (column instanceof NDArray ? column.shape[0] : column.length));
  must(new Set(lengths).size === 1, "a list of structs whose fields have other lengths");
  const read = columns.map(([name, column]) => [name, column instanceof NDArray ? itemsOf(column) : column]);
  return Array.from({ length: lengths[0] }, (_, i) => Object.fromEntries(read.map(([name, column]) => [name, column[i]])));
}

function columnOf(type) {
  const isFixed = type.kind === "shaped" && !type.optional && type.axes.every((size) => size);
  if (isFixed) return { ...type, axes: [null, ...type.axes] };
  return { kind: "list", width: 0, item: type, optional: false };
}

function itemsOf(array) {
  const [count, ...shape] = array.shape;
  const size = count === 0 ? 0 : array.bytes.length / count;
  return Array.from({ length: count }, (_, i) => new NDArray(array.dtype, shape, array.bytes.subarray(i * size, (i + 1) * size)));
}

async function struct(fields, bytes, context) {
  return Object.fromEntries(await pairs(fields, bytes, context));
}

async function pairs(fields, bytes, context) {
  const payloads = fields.filter(({ type }) => !type.width);
  const optional = fields.filter(({ type }) => type.width && type.optional);
  const at = new Map();
  let end = 8 * payloads.length;
  for (const width of [16, 8, 4, 2, 1]) {
    for (const field of fields.filter(({ type }) => type.width === width)) {
      end = Math.ceil(end / width) * width;
      at.set(field, end);
      end += width;
    }
  }
  const presence = new Map(optional.map((field) => [field, end++]));
  end = padded(end);
  must(end <= bytes.length, "a struct that is cut short");
  const found = [];
  for (const field of fields) {
    const { name, type } = field;
    if (type.width) {
      const isAbsent = presence.has(field) && !bytes[presence.get(field)];
      found.push([name, isAbsent ? null : scalar(type, bytes, at.get(field))]);
      continue;
    }
    const stated = 8 * payloads.indexOf(field);
    if (isNone(bytes, stated)) {
      must(type.optional, `None, but the type is ${type.name}`);
      found.push([name, null]);
      continue;
    }
    const size = u64(bytes, stated);
    must(end + padded(size) <= bytes.length, `a struct with a payload of ${size} bytes`);
    found.push([name, await payload(type, bytes.subarray(end, end + size), context, true)]);
    end += padded(size);
  }
  must(end === bytes.length, "a struct with more behind its payloads");
  return found;
}

async function map(item, bytes, context) {
  const entries = await rows([{ name: "key", type: STRING }, { name: "value", type: item }], bytes, context);
  const found = new Map(entries.map(({ key, value }) => [key, value]));
  must(found.size === entries.length, "a key of a map that stands twice");
  return found;
}

async function file(bytes, context) {
  const found = await struct([{ name: "suffix", type: STRING }, { name: "data", type: BYTES }], bytes, context);
  must(SUFFIX.test(found.suffix), `${JSON.stringify(found.suffix)} is not a suffix`);
  return found;
}
