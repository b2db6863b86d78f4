// The names of types: parsed.

import { SchemaError } from "./errors.js";

const WIDTHS = {
  bool: 1, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8,
  float16: 2, float32: 4, float64: 8, bfloat16: 2, complex64: 8, complex128: 16,
  category: 2, datetime64: 8, timedelta64: 8,
};
const UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];
const PLAIN = ["bytes", "str", "json", "array", "file"];
const MEDIA = ["jpeg", "png", "webp", "image", "audio", "video", "msgpack"];
const DEEPEST = 32;
const MOST_AXES = 31;

/**
 * A type. `kind` is the word that it begins with, or "struct", "shaped", "unknown". `width`: bytes of a scalar, 0 of a
 * payload. `optional`: whether it may be None.
 */
export function parseType(text) {
  const parser = new Parser(text);
  try {
    const type = parser.type(0);
    if (parser.at < text.length) throw new SchemaError("more follows");
    return type;
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    return { kind: "unknown", width: 0, optional: text.endsWith("?"), name: text };
  }
}

class Parser {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  type(depth) {
    if (depth > DEEPEST) throw new SchemaError("too deep");
    const start = this.at;
    const type = this.takes("{") ? this.struct(depth) : this.word(depth);
    type.optional = this.takes("?");
    type.name = this.text.slice(start, this.at);
    return type;
  }

  struct(depth) {
    const fields = [];
    do {
      const name = this.name();
      if (fields.some((field) => field.name === name)) throw new SchemaError("a name occurs twice");
      this.expect(":");
      fields.push({ name, type: this.type(depth + 1) });
    } while (this.takes(","));
    this.expect("}");
    return { kind: "struct", width: 0, fields };
  }

  word(depth) {
    const kind = this.match(/[a-z]+[0-9]*/y);
    if (Object.hasOwn(WIDTHS, kind)) return this.scalar(kind);
    if (PLAIN.includes(kind) || MEDIA.includes(kind)) return { kind, width: 0 };
    if (kind === "list" || kind === "map") {
      this.expect("[");
      const item = this.type(depth + 1);
      this.expect("]");
      return { kind, width: 0, item };
    }
    if (kind === "zstd") return this.zstd(depth);
    if (!["protobuf", "custom", "ext"].includes(kind)) throw new SchemaError("an unknown word");
    const [first, last] = kind === "protobuf" ? ["[", "]"] : ["(", ")"];
    this.expect(first);
    const argument = this.until(last);
    return { kind, width: 0, argument };
  }

  scalar(kind) {
    const type = { kind, width: WIDTHS[kind] };
    if (kind === "category") {
      this.expect("[");
      type.names = [];
      do type.names.push(this.name());
      while (this.takes(","));
      this.expect("]");
      return type;
    }
    if (kind === "datetime64" || kind === "timedelta64") {
      this.expect("[");
      type.unit = this.match(/[A-Za-z]+/y);
      type.utc = kind === "datetime64" && this.takes(",");
      if (type.utc) this.expect("UTC");
      this.expect("]");
      if (!UNITS.includes(type.unit)) throw new SchemaError("an unknown unit");
    }
    return this.takes("[") ? this.shaped(type) : type;
  }

  shaped(item) {
    const axes = [];
    do axes.push(this.takes("*") ? null : Number(this.match(/[0-9]+/y)));
    while (this.takes(","));
    this.expect("]");
    if (axes.length > MOST_AXES) throw new SchemaError("too many axes");
    return { kind: "shaped", width: 0, item, axes };
  }

  zstd(depth) {
    this.expect("(");
    const item = this.type(depth + 1);
    if (item.width) throw new SchemaError("zstd of a scalar");
    while (this.takes(",")) this.match(/(level|dict)=[0-9]+/y);
    this.expect(")");
    return { kind: "zstd", width: 0, item };
  }

  name() {
    if (this.text[this.at] !== '"') return this.match(/[\p{L}\p{N}_.+-]+/uy);
    return JSON.parse(this.match(/"(?:[^"\\]|\\.)*"/y));
  }

  // Up to the bracket that closes what was opened; a quoted text may have brackets of its own.
  until(close) {
    if (this.text[this.at] === '"') {
      const quoted = JSON.parse(this.match(/"(?:[^"\\]|\\.)*"/y));
      this.expect(close);
      return quoted;
    }
    const stop = this.text.indexOf(close, this.at);
    if (stop < 0) throw new SchemaError("no end");
    const argument = this.text.slice(this.at, stop);
    this.at = stop + 1;
    return argument;
  }

  takes(piece) {
    const is = this.text.startsWith(piece, this.at);
    if (is) this.at += piece.length;
    return is;
  }

  expect(piece) {
    if (!this.takes(piece)) throw new SchemaError(`no ${piece}`);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) throw new SchemaError("not a type");
    this.at = pattern.lastIndex;
    return found[0];
  }
}
