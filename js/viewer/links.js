// What the address says, behind its #: all that decides what is shown, so that a link shows the same.

/** The parts of a link, in the order in which they are written. */
export const PARTS = ["file", "compare", "step", "view", "filter", "find", "sort", "sample", "by", "seed", "draw", "marked", "only", "fields", "line", "i"];
const LONGEST = 4000; // characters of a list of marked records; longer ones are not in the address

/** The parts that the address has, as texts. */
export function linked() {
  const parts = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(PARTS.filter((part) => parts.has(part)).map((part) => [part, parts.get(part)]));
}

/** Changes some parts: empty ones and null are left out. */
export function remember(changes) {
  const known = { ...linked(), ...changes };
  const parts = new URLSearchParams();
  for (const part of PARTS) {
    const value = known[part];
    if (value !== null && value !== undefined && value !== "") parts.set(part, value);
  }
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${parts}`);
}

/** Numbers as text, and back; as "" if that would be too long. */
export function listText(numbers) {
  const text = [...numbers].join(",");
  return text.length <= LONGEST ? text : "";
}

export function listOf(text) {
  return (text ?? "").split(",").filter((piece) => /^\d+$/.test(piece)).map(Number);
}

/** How fields are drawn over pictures: "mask:no,outline:polygons" as a Map, and back. */
export function drawnOf(text) {
  const pairs = (text ?? "").split(",").map((pair) => pair.split(":").map(decodeURIComponent));
  return new Map(pairs.filter((pair) => pair.length === 2));
}

export function drawnText(chosen) {
  return [...chosen].map((pair) => pair.map(encodeURIComponent).join(":")).join(",");
}
