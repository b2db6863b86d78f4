// Decompression by zstd: the WebAssembly module of @bokuweb/zstd-wasm, called without its glue (vendor/LICENSE).

import { CorruptError, DecodeError } from "./errors.js";

const FREE = 64 * 2 ** 20; // bytes that a frame may claim whatever its own size
const FREE_INSIDE = 64 * 2 ** 10; // the same within another type, where there may be many
const MOST_TIMES = 1000;
const LARGEST = 2 ** 31; // bytes of the memory of the module

let loading = null;

/** Loads the module, once: from bytes that are given, or a promise of them, or from the file beside this one. */
export function loadZstd(bytes = null) {
  loading ??= instantiate(bytes);
  loading.catch(() => (loading = null));
  return loading;
}

async function instantiate(given) {
  const bytes = (await given) ?? (await ownBytes());
  let memory = null;
  const stop = () => {
    throw new Error("zstd stopped");
  };
  const grow = (size) => {
    const pages = Math.ceil((size - memory.buffer.byteLength) / 65536);
    try {
      memory.grow(pages);
      return 1;
    } catch {
      return 0;
    }
  };
  // The names are those of the module: exit, keep-alive, abort, timer, growing of the memory.
  const imports = { a: { a: stop, b: () => {}, c: stop, d: () => 0, e: (size) => grow(size >>> 0) } };
  const { instance } = await WebAssembly.instantiate(bytes, imports);
  const { f, g, h, n, o, q, s, t } = instance.exports;
  memory = f;
  g();
  return { memory, isError: h, createContext: n, freeContext: o, decompress: q, malloc: s, free: t };
}

async function ownBytes() {
  const url = new URL("./vendor/zstd.wasm", import.meta.url);
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  return (await fetch(url)).arrayBuffer();
}

/** The bytes of a zstd frame. `dictionary`: bytes, or null; `isInside`: whether it is within another type. */
export async function decompress(bytes, dictionary, isInside) {
  const size = contentSize(bytes);
  const most = Math.max(isInside ? FREE_INSIDE : FREE, MOST_TIMES * bytes.length);
  if (size === null) throw new CorruptError("zstd that does not say how many bytes it is of");
  if (size > most) throw new CorruptError(`${bytes.length} bytes of zstd claim to be ${size}`);
  if (size + bytes.length >= LARGEST) throw new DecodeError(`${size} bytes are too many for this decoder of zstd`);
  const zstd = await loadZstd();
  const given = dictionary ?? new Uint8Array(0);
  const room = [];
  const copied = (part) => {
    const at = zstd.malloc(Math.max(1, part.length ?? part));
    if (at === 0) throw new DecodeError(`there is no memory for ${size} bytes of zstd`);
    room.push(at);
    if (part.length) new Uint8Array(zstd.memory.buffer).set(part, at);
    return at;
  };
  const context = zstd.createContext();
  try {
    const from = copied(bytes);
    const by = copied(given);
    const to = copied(size);
    const found = zstd.decompress(context, to, size, from, bytes.length, by, given.length);
    if (zstd.isError(found) || found !== size) throw new CorruptError("bytes that are not zstd, or of another dictionary");
    return new Uint8Array(zstd.memory.buffer, to, size).slice();
  } finally {
    room.forEach((at) => zstd.free(at));
    zstd.freeContext(context);
  }
}

// RFC 8878, 3.1.1.1: how many bytes a frame says that it is of; null if it does not.
function contentSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 6 || view.getUint32(0, true) !== 0xfd2fb528) throw new CorruptError("bytes that are not zstd");
  const descriptor = bytes[4];
  const isSingle = (descriptor & 0x20) !== 0;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6];
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3];
  if (size === 0) return null;
  if (at + size > bytes.length) throw new CorruptError("bytes that are not zstd");
  if (size === 1) return bytes[at];
  if (size === 2) return view.getUint16(at, true) + 256;
  return size === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
