// Looks at every byte of all records, as `dsrecords check` does, and lists what is damaged.

import { DSRecordsError } from "../errors.js";
import { count, element } from "./dom.js";

const TOGETHER = 32;
const MOST = 200; // damaged records that are listed

/** `[{ position, error }]` of the damaged records; `report(done)` is told how many were looked at. */
export async function damagedIn(dataset, report) {
  const found = [];
  for (let first = 0; first < dataset.count; first += TOGETHER) {
    const positions = Array.from({ length: Math.min(TOGETHER, dataset.count - first) }, (_, k) => first + k);
    const errors = await Promise.all(positions.map((position) => errorOf(dataset, position)));
    errors.forEach((error, k) => error && found.push({ position: positions[k], error }));
    report(first + positions.length);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return found;
}

async function errorOf(dataset, position) {
  try {
    await dataset.stored(position);
    return null;
  } catch (error) {
    if (error instanceof DSRecordsError) return error;
    throw error;
  }
}

/** What was found, in words; each damaged record is a button that shows it: `select(position)`. */
export function drawDamage(found, dataset, select) {
  const all = `${count(dataset.count)} records`;
  if (found.length === 0) return element("p", { role: "status", text: `${all}: all checksums are right` });
  const lines = found.slice(0, MOST).map(({ position, error }) => {
    return element("li", {}, element("button", { type: "button", class: "damaged", text: `${error.name}: ${error.message}`, onclick: () => select(position) }));
  });
  const more = found.length > MOST ? element("p", { text: `… and ${count(found.length - MOST)} more` }) : null;
  return element("div", { role: "status" }, element("p", { text: `${count(found.length)} of ${all} are damaged` }), element("ul", {}, lines), more);
}
