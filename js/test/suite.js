// What a case of tests/golden/ must give, on both levels. Runs under Node and in browsers.

import { crc32 } from "../crc32.js";
import { CorruptError, NDArray, StaleViewError, UnsupportedVersionError, open } from "../dsrecords.js";
import { parseType } from "../types.js";

const ERRORS = { corrupt: CorruptError, unsupported: UnsupportedVersionError, stale: StaleViewError };
const OF_OTHERS = /\b(jpeg|png|webp|image|audio|video|msgpack|protobuf|custom|ext)\b/;
const LONGEST_HEX = 48;

async function opened(one, fileOf) {
  const options = { idx: one.index ? await fileOf(one.index) : null };
  if (one.view) options.view = await fileOf(one.view);
  return open(await fileOf(one.log), options);
}

// Values as the manifest has them

function bytesAsJson(bytes) {
  if (bytes.length <= LONGEST_HEX) return { hex: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  return { size: bytes.length, crc32: crc32(bytes).toString(16).padStart(8, "0") };
}

function numberAsJson(number) {
  if (typeof number === "bigint") return String(number);
  if (Object.is(number, -0)) return "-0.0";
  if (Number.isFinite(number)) return number;
  return { NaN: "nan", Infinity: "inf", "-Infinity": "-inf" }[String(number)];
}

function storedAsJson(value, type) {
  if (value === null) return null;
  if (value instanceof Uint8Array) return bytesAsJson(value);
  if (!Array.isArray(value)) return numberAsJson(value);
  const Parts = type.kind === "complex64" ? Float32Array : Float64Array; // the bytes of both parts
  return bytesAsJson(new Uint8Array(Parts.from(value).buffer));
}

async function asJson(value, type) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (type.kind === "json") return value;
  if (value instanceof NDArray) return { dtype: value.dtype, shape: value.shape, ...bytesAsJson(value.bytes) };
  if (value instanceof Uint8Array) return bytesAsJson(value);
  if (typeof value === "number" || typeof value === "bigint") return numberAsJson(value);
  if (type.kind === "zstd") return asJson(value, type.item);
  if (type.kind === "file") return { suffix: value.suffix, ...bytesAsJson(value.data) };
  if (type.kind.startsWith("complex")) return value.map(numberAsJson);
  if (type.kind === "list") return Promise.all(value.map((item) => asJson(item, type.item)));
  const entries = type.kind === "map" ? [...value] : type.fields.map(({ name }) => [name, value[name]]);
  const inner = (name) => type.item ?? type.fields.find((field) => field.name === name).type;
  return Object.fromEntries(await Promise.all(entries.map(async ([name, one]) => [name, await asJson(one, inner(name))])));
}

// What JSON.parse reads as a number, the manifest may have as 1.0.
const plain = (value) => JSON.parse(JSON.stringify(value));

function checkError(assert, found, wanted) {
  assert.equal(found.constructor, ERRORS[wanted.class], String(found));
  for (const name of ["offset", "field"]) if (name in wanted) assert.equal(found[name], wanted[name], String(found));
}

async function errorOf(action) {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("no error where one is wanted");
}

async function checkRecord(assert, dataset, one, i) {
  const wanted = one.records[i];
  if (wanted.error) {
    const found = await errorOf(() => dataset.get(i));
    checkError(assert, found, wanted.error);
    assert.equal(found.record, i);
    return;
  }
  const types = one.fields.map(([, type]) => parseType(type));
  const stored = await dataset.stored(i);
  assert.deepEqual(stored.map((value, k) => storedAsJson(value, types[k])), wanted.stored);
  for (const [k, [, type]] of one.fields.entries()) {
    const value = wanted.values[k];
    if (value?.error) checkError(assert, await errorOf(() => dataset.get(i, [k])), value.error);
    else if (!OF_OTHERS.test(type)) {
      const record = await dataset.get(i, [k]);
      assert.deepEqual(plain(await asJson(Object.values(record)[0], types[k])), plain(value), type);
    }
  }
}

/** Reads a case of the manifest. `assert`: `equal` and `deepEqual`; `fileOf(name)`: the bytes of a file of the suite. */
export async function checkCase(assert, one, fileOf) {
  if (one.error) {
    checkError(assert, await errorOf(() => opened(one, fileOf)), one.error);
    return;
  }
  const dataset = await opened(one, fileOf);
  assert.deepEqual(dataset.fields.map(({ name, type }) => [name, type]), one.fields);
  assert.equal(dataset.warnings.length > 0, one.warning ?? false, dataset.warnings.join());
  if (one.metadata_error) checkError(assert, await errorOf(() => dataset.metadata()), one.metadata_error);
  else assert.deepEqual(await dataset.metadata(), one.metadata);
  assert.equal(dataset.count, one.records.length);
  for (let i = 0; i < dataset.count; i++) await checkRecord(assert, dataset, one, i);
}
