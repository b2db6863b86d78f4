// The errors of the reader, named as in Python.

/** Base of all of them: what is wrong (`reason`), and where, as far as it is known. */
export class DSRecordsError extends Error {
  /**
   * @param {string} reason
   * @param {{file?: string, record?: number, field?: string | number, offset?: number}} where
   */
  constructor(reason, where = {}) {
    super(reason);
    this.name = new.target.name;
    this.reason = reason;
    this.at(where);
  }

  /** Adds where it is, where that is not known yet. Returns the error. */
  at({ file, record, field, offset }) {
    this.file ??= file;
    this.record ??= record;
    this.field ??= field;
    this.offset ??= offset;
    const parts = [];
    if (this.file !== undefined) parts.push(this.file);
    if (this.record !== undefined) parts.push(`record ${this.record}`);
    if (this.field !== undefined) parts.push(`field ${JSON.stringify(this.field)}`);
    if (this.offset !== undefined) parts.push(`byte ${this.offset}`);
    this.message = parts.length ? `${parts.join(", ")}: ${this.reason}` : this.reason;
    return this;
  }
}

/** Bytes of a file that are not what was written, or that no writer writes. */
export class CorruptError extends DSRecordsError {}

/** Bytes as they were written, which cannot be decoded here. */
export class DecodeError extends DSRecordsError {}

/** A file of a later version of the format. */
export class UnsupportedVersionError extends DSRecordsError {}

/** A view of another dataset, or of another history of it; or a file that was replaced while it was read. */
export class StaleViewError extends DSRecordsError {}

/** Files that do not make one dataset. */
export class ShardError extends DSRecordsError {}

/** A name or a type that does not fit. */
export class SchemaError extends DSRecordsError {}

/** Throws an error unless a condition holds. */
export function need(condition, reason, offset, ErrorClass = CorruptError, where = {}) {
  if (!condition) throw new ErrorClass(reason, { offset, ...where });
}

/** Marks an error: damage, or what a writer did not finish; what lies behind tells which. */
export const TORN = Symbol("torn");

/** Throws an error that may be of a torn tail, unless a condition holds. */
export function whole(condition, reason, offset, where = {}) {
  if (condition) return;
  const error = new CorruptError(reason, { offset, ...where });
  error[TORN] = true;
  throw error;
}
