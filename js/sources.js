// Where bytes come from: a URL, a File or Blob, bytes in memory, a path under Node.
//
// A source has a `name`, a `size`, and `read(offset, length)`: the bytes, fewer only where they end.

import { CorruptError, StaleViewError } from "./errors.js";

const LARGEST_BODY = 256 * 2 ** 20; // bytes of a file that is read whole, as its server knows no ranges
const PAGE = 2 ** 16;
const PAGES = 64;

/** The source that is meant. Throws TypeError. */
export async function openSource(given) {
  if (given instanceof Uint8Array) return new BytesSource(given);
  if (given instanceof ArrayBuffer) return new BytesSource(new Uint8Array(given));
  if (typeof Blob !== "undefined" && given instanceof Blob) return new BlobSource(given);
  if (given instanceof URL || (typeof given === "string" && isUrl(given))) return openUrl(String(given));
  if (typeof given === "string") return openPath(given);
  if (typeof given?.read === "function" && Number.isSafeInteger(given.size)) return given;
  throw new TypeError("a URL, a File, a Blob, bytes, or a source with `size` and `read` is needed");
}

/** The same, or null if there is no such file. */
export async function openIfThere(given) {
  try {
    return await openSource(given);
  } catch (error) {
    if (error instanceof MissingError || error.code === "ENOENT") return null;
    throw error;
  }
}

const IN_BROWSER = typeof document !== "undefined" || typeof WorkerGlobalScope !== "undefined";

function isUrl(text) {
  return IN_BROWSER || /^[a-z][a-z0-9+.-]+:\/\//i.test(text);
}

/** There is no such file. */
export class MissingError extends Error {
  name = "MissingError";
}

class BytesSource {
  constructor(bytes, name = "bytes") {
    this.bytes = bytes;
    this.name = name;
    this.size = bytes.length;
  }

  async read(offset, length) {
    return this.bytes.subarray(offset, offset + length);
  }
}

class BlobSource {
  constructor(blob) {
    this.blob = blob;
    this.name = blob.name ?? "blob";
    this.size = blob.size;
  }

  async read(offset, length) {
    const part = this.blob.slice(offset, offset + length);
    return new Uint8Array(await part.arrayBuffer());
  }
}

async function openPath(path) {
  const { open } = await import("node:fs/promises");
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    name: path,
    size,
    page: 2 ** 12, // a file is at hand: what is not needed is not read
    async read(offset, length) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
    close: () => file.close(),
  };
}

// URLs

async function openUrl(url) {
  const response = await fetchRange(url, 0, PAGE);
  if (response.status === 404 || response.status === 410) throw new MissingError(`${url}: there is no such file`);
  if (response.status === 416) return new BytesSource(new Uint8Array(0), url); // an empty file has no range
  if (response.status === 200) return wholeBody(url, response);
  if (response.status !== 206) throw await refusal(url, response);
  const start = new Uint8Array(await response.arrayBuffer());
  const size = await sizeOf(url, response, start);
  return new UrlSource(url, size, versionOf(response), start);
}

async function fetchRange(url, offset, length) {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
  try {
    return await fetch(url, { headers, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    const isForeign = typeof document !== "undefined" && new URL(url, location.href).origin !== location.origin;
    const advice = isForeign ? ", or its server does not allow this page to read it (Access-Control-Allow-Origin)" : "";
    throw new Error(`${url} cannot be reached${advice}`, { cause: error });
  }
}

/** The error of an answer that is no range: with what a server says of it in a line of plain text. */
async function refusal(url, response) {
  const isText = response.headers.get("content-type")?.startsWith("text/plain");
  const text = isText ? (await response.text()).split("\n")[0].slice(0, 500) : "";
  if (!isText) await response.body?.cancel();
  return new Error(`${url}: the server answers ${response.status}${text && `: ${text}`}`);
}

async function wholeBody(url, response) {
  const length = Number(response.headers.get("content-length") ?? 0);
  if (length > LARGEST_BODY) {
    await response.body?.cancel();
    throw new Error(`${url}: the server sends all of ${length} bytes; one that knows ranges is needed`);
  }
  return new BytesSource(new Uint8Array(await response.arrayBuffer()), url);
}

// Of another origin, a page sees `content-range` only if the server names it in `access-control-expose-headers`.
async function sizeOf(url, response, start) {
  const total = /^bytes \d+-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (total !== null) return Number(total[1]);
  if (start.length < PAGE) return start.length;
  const head = await fetch(url, { method: "HEAD", credentials: "same-origin" });
  const length = head.ok && !head.headers.has("content-encoding") ? head.headers.get("content-length") : null;
  if (length !== null) return Number(length);
  throw new Error(`${url}: its size is hidden; the server needs "access-control-expose-headers: content-range"`);
}

function versionOf(response) {
  return response.headers.get("etag") ?? response.headers.get("last-modified");
}

class UrlSource {
  constructor(url, size, version, start) {
    this.name = url;
    this.size = size;
    this.version = version;
    this.start = start;
  }

  async read(offset, length) {
    const stop = Math.min(offset + length, this.size);
    if (stop <= offset) return new Uint8Array(0);
    if (stop <= this.start.length) return this.start.subarray(offset, stop);
    const response = await fetchRange(this.name, offset, stop - offset);
    if (response.status === 416) throw this.replaced();
    if (response.status !== 206) throw await refusal(this.name, response);
    if (versionOf(response) !== this.version) throw this.replaced();
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length === stop - offset) return bytes;
    throw new CorruptError(`the server sent ${bytes.length} bytes of ${stop - offset}`, { file: this.name, offset });
  }

  replaced() {
    return new StaleViewError("the file was replaced while it was read", { file: this.name });
  }
}

// Pages

/** A source of which small pieces are read: they are fetched by pages, and the last ones are kept. */
export class Pages {
  constructor(source) {
    this.source = source;
    this.size = source.size;
    this.length = source.page ?? PAGE; // of a page
    this.kept = new Map();
  }

  async read(offset, length) {
    const stop = Math.min(offset + length, this.size);
    if (stop <= offset) return new Uint8Array(0);
    const first = Math.floor(offset / this.length);
    const last = Math.floor((stop - 1) / this.length);
    if (last - first > 4) return this.source.read(offset, stop - offset);
    if (first === last) {
      const page = await this.page(first);
      return page.subarray(offset - first * this.length, stop - first * this.length);
    }
    const bytes = new Uint8Array(stop - offset);
    for (let number = first; number <= last; number++) {
      const page = await this.page(number);
      const from = Math.max(offset, number * this.length);
      const to = Math.min(stop, (number + 1) * this.length);
      bytes.set(page.subarray(from - number * this.length, to - number * this.length), from - offset);
    }
    return bytes;
  }

  /** A page; those that are just being fetched are waited for, not fetched again. */
  page(number) {
    let page = this.kept.get(number);
    this.kept.delete(number);
    page ??= this.source.read(number * this.length, this.length);
    this.kept.set(number, page);
    page.catch(() => this.kept.delete(number)); // what failed is tried again by who asks again
    if (this.kept.size > PAGES) this.kept.delete(this.kept.keys().next().value);
    return page;
  }
}
