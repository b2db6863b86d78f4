/** Reads datasets of DSRecords, in browsers and under Node. */

/** Where bytes come from, for storages of your own. `read` gives fewer bytes only where the file ends. */
export interface Source {
  readonly name: string;
  readonly size: number;
  /** Bytes that are read where few are needed, and kept; 65,536 by default. Fewer where a read costs little. */
  readonly page?: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** A URL or, under Node, a path; a File or Blob; bytes; a source. */
export type Given = string | URL | Blob | Uint8Array | ArrayBuffer | Source;

export interface OpenOptions {
  /** The index; null: none. By default the one beside a URL or path, if it is there. */
  idx?: Given | null;
  /** A view to show in place of the whole list. */
  view?: Given;
  /** Of many files: how many records of each count; by default all. */
  counts?: number[];
}

/** Opens a `.rec`, a manifest (a URL or path that ends in `.json`), or many of them as one. */
export function open(given: Given | Given[], options?: OpenOptions): Promise<Records>;

/** The name of the index that belongs to a data file: `data.rec` → `data.idx`. */
export function indexBeside(name: string): string;

/**
 * A value. Integers are a `bigint` where a number would not be exact. A category is its name, a `datetime64` text in
 * ISO 8601, a `timedelta64` its number of units ("NaT" of both), a complex number its two parts. Bytes that belong to
 * another format (images, audio, video, MessagePack, protobuf, types of one's own) are as they are.
 */
export type Value =
  | null | boolean | number | bigint | string | Uint8Array | NDArray | Value[] | Map<string, Value> | { [name: string]: Value };

/** A record: an object by names, or an array where fields have none. */
export type Sample = { [name: string]: Value } | Value[];

/** The numbers of a field: of a category the numbers of its names, of a time its units; with null in an array. */
export type Numbers =
  | Int8Array | Int16Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array | Uint32Array | BigUint64Array
  | Float32Array | Float64Array | Value[];

export interface FieldInfo {
  /** Null where fields have no names. */
  name: string | null;
  /** As the schema writes it: `"float32[*,4]?"`. */
  type: string;
}

/** A field of a block of records. */
export interface Column {
  readonly length: number;
  /** Whether it has the sizes of payloads in bytes (-1: None) in place of values. */
  readonly isSizes: boolean;
  /** The value of one; null if it is None. */
  at(i: number): Value;
  /** All of them. */
  values(): Numbers;
}

export interface Block {
  /** Position of the first record of the block. */
  start: number;
  count: number;
  columns: Column[];
  /** Records that do not verify: what is wrong, by position. */
  damaged: Map<number, string>;
}

export interface ScanOptions {
  /** Whether damaged records are told of in `damaged`, and not thrown. */
  skipDamaged?: boolean;
  start?: number;
  stop?: number;
}

export interface Description {
  /** The file, where there are many. */
  file?: string;
  /** Of the frame, in bytes. */
  offset: number;
  /** 1 or 2: a record; 4: a record that shares payloads with one before it. */
  kind: number;
  size: number;
  /** The checksum of the frame, which was right. */
  check: number;
  payloads: { field: string | null; type: string; offset: number | null; size: number | null; checksum?: number }[];
}

/** The records of a dataset. A position may be negative, as in Python. */
export interface Records {
  readonly name: string;
  readonly count: number;
  readonly fields: FieldInfo[];
  readonly warnings: string[];
  readonly isView: boolean;
  metadata(): Promise<{ [key: string]: unknown }>;
  get(position: number, fields?: (string | number)[] | null): Promise<Sample>;
  /** The values of each field: an object of arrays, or an array of arrays where fields have no names. */
  batch(positions: Iterable<number>, fields?: (string | number)[] | null): Promise<{ [name: string]: Value[] } | Value[][]>;
  /** A field of all records. */
  column(name: string | number): Promise<Numbers>;
  /** Goes through the heads of all records, block by block, and keeps none of them. */
  scan(names: (string | number)[], each: (block: Block) => void | Promise<void>, options?: ScanOptions): Promise<void>;
  /** Numbers as they lie in the head, payloads as bytes. */
  stored(position: number): Promise<(null | number | bigint | [number, number] | Uint8Array)[]>;
  /** Where a record is, and what is known of it. */
  describe(position: number): Promise<Description>;
  close(): Promise<void>;
}

/** An array of NumPy. */
export class NDArray {
  /** As NumPy writes it (`"<f4"`), `"bfloat16"`, or a list of fields. */
  readonly dtype: string | unknown[];
  readonly shape: number[];
  /** The values in C order. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Its numbers, flat; of complex ones both parts of each. Null of what JavaScript has no numbers for. */
  readonly values: Exclude<Numbers, Value[]> | null;
}

/** The integers from 0 to n - 1, each once, in the order of `dsrecords.Permutation(n, seed)`. */
export class Permutation {
  constructor(n: number, seed: number | bigint);
  readonly n: number;
  readonly seed: bigint;
  readonly length: number;
  at(position: number): number;
  indexOf(value: number): number;
  values(start?: number, stop?: number): Generator<number>;
  [Symbol.iterator](): Generator<number>;
}

/** A seed of a seed and a number, such as that of an epoch. */
export function derivedSeed(seed: number | bigint, number: number | bigint): bigint;

/** Loads what decompresses zstd: from bytes of `vendor/zstd.wasm`, where the page cannot fetch it. */
export function loadZstd(wasm?: Uint8Array | Promise<ArrayBuffer> | null): Promise<unknown>;

export class DSRecordsError extends Error {
  /** What is wrong, without where. */
  readonly reason: string;
  readonly file?: string;
  readonly record?: number;
  readonly field?: string | number;
  readonly offset?: number;
}
export class CorruptError extends DSRecordsError {}
export class DecodeError extends DSRecordsError {}
export class UnsupportedVersionError extends DSRecordsError {}
export class StaleViewError extends DSRecordsError {}
export class ShardError extends DSRecordsError {}
export class SchemaError extends DSRecordsError {}
