// Opening: what is given may be a file, many, or a manifest.

import { Dataset } from "./dataset.js";
import { CorruptError, DSRecordsError, SchemaError, ShardError, StaleViewError, UnsupportedVersionError } from "./errors.js";
import { parseFields } from "./header.js";
import { isObject, parseJson } from "./json.js";
import { Log } from "./log.js";
import { Many } from "./many.js";
import { Pages, openIfThere, openSource } from "./sources.js";

const LARGEST_MANIFEST = 512 * 2 ** 20;

/**
 * Opens a dataset.
 *
 * @param given a URL, a path (under Node), a File, a Blob or bytes of a `.rec`; or of a manifest (`.json`), which is named by
 *   a URL or a path; or an array of these: many files as one.
 * @param {{ idx?: unknown, view?: unknown, counts?: number[] }} options the index (null: none; by default the one beside a
 *   URL or path), or a view to show in its place; how many records of each of many files count (by default all)
 */
export async function open(given, { idx, view, counts } = {}) {
  if (Array.isArray(given)) return joined(await Promise.all(given.map((one) => open(one))), counts);
  if (isNamed(given) && pathOf(given).endsWith(".json")) return openManifest(String(given));
  const rec = new Pages(await openSource(given));
  const { name } = rec.source;
  let beside = idx;
  if (view !== undefined) beside = view;
  else if (idx === undefined && isNamed(given)) beside = indexBeside(String(given));
  const index = view === undefined && idx === undefined ? await besideOf(beside) : await sourceOf(beside);
  try {
    const log = await Log.open(rec, index && new Pages(index), view !== undefined);
    return new Dataset(log, name);
  } catch (error) {
    await rec.source.close?.();
    throw error instanceof DSRecordsError ? error.at({ file: name }) : error;
  }
}

const isNamed = (given) => typeof given === "string" || given instanceof URL;
const besideOf = (name) => (name == null ? null : openIfThere(name));
const sourceOf = (given) => (given == null ? null : openSource(given));

/** The path in a URL, without what is asked of the server. */
function pathOf(given) {
  return String(given).split(/[?#]/)[0];
}

/** `data.rec` → `data.idx`, `data.v2` → `data.v2.idx`; what follows a `?` stays. */
export function indexBeside(name) {
  const path = pathOf(name);
  const index = /(\.rec|\/[^./]+)$/.test(path) ? path.replace(/\.rec$/, "") : path;
  return `${index}.idx${name.slice(path.length)}`;
}

/** Some datasets as one, in their order. Their fields must be the same. */
function joined(parts, counts = parts.map((part) => part.count)) {
  if (parts.length === 0) throw new ShardError("no files");
  for (const part of parts) requireSame(part.fields, parts[0].fields, part.name);
  const fewer = parts.find((part, k) => part.count < counts[k]);
  if (fewer !== undefined) throw new StaleViewError("it has fewer records now", { file: fewer.name });
  const opened = parts.map((part, k) => ({ count: counts[k], open: async () => part }));
  return new Many(opened, parts[0].fields, () => parts[0].metadata(), parts.map((part) => part.name).join(", "));
}

function requireSame(fields, wanted, file) {
  const [found, expected] = [fields, wanted].map((list) => JSON.stringify(list.map(({ name, type }) => [name, type])));
  if (found !== expected) throw new SchemaError(`other fields than the first file has: ${found}, not ${expected}`, { file });
}

// Manifests

async function openManifest(name) {
  const source = await openSource(name);
  if (source.size > LARGEST_MANIFEST) throw new CorruptError("a manifest of more than 512 MiB", { file: name });
  const bytes = await source.read(0, source.size);
  await source.close?.();
  try {
    return await manifest(content(bytes), name);
  } catch (error) {
    throw error instanceof DSRecordsError ? error.at({ file: name }) : error;
  }
}

function content(bytes) {
  let stated;
  try {
    stated = parseJson(bytes);
  } catch (error) {
    throw new CorruptError(`not a manifest: ${error.message}`);
  }
  const isManifest = isObject(stated) && stated.format === "dsrecords-manifest";
  if (!isManifest) throw new CorruptError('not a manifest: it has no "format": "dsrecords-manifest"');
  if (stated.version === 1) return stated;
  throw new UnsupportedVersionError(`a manifest of version ${stated.version}: this reader reads version 1`);
}

function manifest(stated, name) {
  const { fields, metadata } = parseFields(stated);
  if (!Array.isArray(stated.shards)) throw new CorruptError("it has no list of shards");
  const shown = fields.map((field) => ({ name: field.name, type: field.type.name }));
  const parts = stated.shards.map((shard) => {
    const { file, count } = checkedShard(shard);
    return { count, open: () => openShard(beside(name, file), shard, shown) };
  });
  if (parts.reduce((sum, { count }) => sum + count, 0) !== stated.count) throw new CorruptError("its shards do not add up");
  if (new Set(stated.shards.map(({ id }) => id)).size < parts.length) throw new ShardError("a shard is in it twice");
  return new Many(parts, shown, async () => metadata, name);
}

function checkedShard(shard) {
  if (!isObject(shard) || typeof shard.file !== "string") throw new CorruptError("a shard of it names no file");
  const isWithin = shard.file.split("/").every((part) => !["", ".", ".."].includes(part)) && !/[\\\0:]/.test(shard.file);
  if (!isWithin) throw new CorruptError(`it names ${JSON.stringify(shard.file)}: only files in its folder, or within it, are opened`);
  for (const key of ["count", "end", "last", "check", "edits"]) {
    if (!Number.isSafeInteger(shard[key]) || shard[key] < 0) throw new CorruptError(`${shard.file}: no ${key}`);
  }
  if (!/^[0-9a-f]{32}$/.test(shard.id)) throw new CorruptError(`${shard.file}: no id of 16 bytes`);
  return shard;
}

function beside(manifestName, file) {
  const path = pathOf(manifestName);
  const isUrl = /^[a-z][a-z0-9+.-]+:\/\//i.test(path);
  const named = isUrl ? file.split("/").map(encodeURIComponent).join("/") : file;
  return path.slice(0, path.lastIndexOf("/") + 1) + named + String(manifestName).slice(path.length);
}

/** A file that a manifest names, as it was when the manifest was made: records that came later do not count. */
async function openShard(file, shard, fields) {
  const dataset = await open(file);
  const { log } = dataset;
  requireSame(dataset.fields, fields, file);
  const id = Array.from(log.header.id, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (id !== shard.id) throw new ShardError(`it is of another run, or was compacted: its id is ${id}, not ${shard.id}`, { file });
  const isPast = (await log.hasBeen(shard)) && log.mark.edits === shard.edits;
  if (!isPast) throw new StaleViewError("it was edited since: make the manifest anew with dsrecords.merge", { file });
  if (dataset.count < shard.count) {
    throw new CorruptError(`it has ${dataset.count} records, and the manifest says ${shard.count}`, { file });
  }
  return dataset;
}
