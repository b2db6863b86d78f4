// Two datasets side by side, record by record.

const TOGETHER = 64;

/** Fields that two datasets have both, or one of them has: `[{ key, types: [one, other] }]`; a type is null where it lacks. */
export function fieldsOfBoth(one, other) {
  const keyed = ({ fields }) => new Map(fields.map((field, k) => [String(field.name ?? k), field.type]));
  const [first, second] = [keyed(one), keyed(other)];
  const keys = new Set([...first.keys(), ...second.keys()]);
  return [...keys].map((key) => ({ key, types: [first.get(key) ?? null, second.get(key) ?? null] }));
}

/**
 * What tells records apart, without reading their payloads: of each field its number, or its size and checksum. A record
 * that cannot be read differs from any other.
 */
async function traits(dataset, position, scalars) {
  if (position >= dataset.count) return "missing";
  try {
    const [values, { payloads }] = await Promise.all([dataset.get(position, scalars), dataset.describe(position)]);
    const sizes = payloads.map(({ field, size, checksum }) => [field, size, checksum ?? 0]);
    return JSON.stringify([values, sizes], (_, value) => (typeof value === "bigint" ? `${value}` : value));
  } catch (error) {
    return error.message;
  }
}

/**
 * The next record in which two datasets differ, from a position on; null if there is none. Positions are those of the files.
 * `report(position)` is told how far it is; `signal` ends it.
 */
export async function nextDifference(one, other, scalarsOf, start, { report, signal }) {
  const length = Math.max(one.count, other.count);
  for (let first = start; first < length; first += TOGETHER) {
    const positions = Array.from({ length: Math.min(TOGETHER, length - first) }, (_, k) => first + k);
    const pairs = await Promise.all(
      positions.map((i) => Promise.all([one, other].map((dataset) => traits(dataset, i, scalarsOf(dataset))))),
    );
    const found = pairs.findIndex(([left, right]) => left !== right);
    if (found >= 0) return positions[found];
    report(first);
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
  }
  return null;
}
