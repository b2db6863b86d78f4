// What the bytes of both files are made of: numbers, magic, kinds of frames.

const RECORD = 1; // a kind of frame
const PENDING = 2;
export const COMMIT = 3;
export const REVISION = 4;
export const METADATA = 5;
export const SKIPPED = 128; // the first of the kinds that may be skipped
export const WORD = 2 ** 32;
export const SHORT_ROW = 16;

export const u16 = (bytes, at) => bytes[at] | (bytes[at + 1] << 8);
export const u32 = (bytes, at) => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
export const u64 = (bytes, at) => u32(bytes, at) + u32(bytes, at + 4) * WORD; // exact below 2**53: larger is refused
export const isNone = (bytes, at) => u32(bytes, at) === WORD - 1 && u32(bytes, at + 4) === WORD - 1;
export const padded = (size) => size + ((8 - (size % 8)) % 8);
export const isPending = (kind) => kind === PENDING || kind === REVISION;
export const isRecord = (kind) => kind === RECORD || isPending(kind);
export const hasMagic = (bytes, at, letter) => String.fromCharCode(...bytes.subarray(at, at + 8)) === `\x89DS${letter}\r\n\x1a\n`;
