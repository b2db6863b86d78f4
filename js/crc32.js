// CRC-32 of zlib, eight bytes at a time.

const TABLES = [new Int32Array(256)];
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  TABLES[0][byte] = crc;
}
for (let i = 1; i < 8; i++) {
  const before = TABLES[i - 1];
  TABLES.push(before.map((crc) => (crc >>> 8) ^ TABLES[0][crc & 255]));
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES;

/** The CRC-32 of bytes[start:stop], continued from that of what came before. */
export function crc32(bytes, before = 0, start = 0, stop = bytes.length) {
  let crc = ~before;
  let at = start;
  for (; at + 8 <= stop; at += 8) {
    const low = crc ^ (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
    crc =
      T7[low & 255] ^ T6[(low >>> 8) & 255] ^ T5[(low >>> 16) & 255] ^ T4[low >>> 24] ^
      T3[bytes[at + 4]] ^ T2[bytes[at + 5]] ^ T1[bytes[at + 6]] ^ T0[bytes[at + 7]];
  }
  for (; at < stop; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}
