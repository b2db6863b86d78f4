// Reads datasets of DSRecords, in browsers and under Node. See README.md.

export { Dataset } from "./dataset.js";
export * from "./errors.js";
export { indexBeside, open } from "./open.js";
export { Permutation, derivedSeed } from "./permutation.js";
export { NDArray } from "./values.js";
export { loadZstd } from "./zstd.js";
