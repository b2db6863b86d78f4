// The panel of the fields: their types, what their values are like, the metadata, and whether anything is damaged.

import { damagedIn, drawDamage } from "./check.js";
import { count, element } from "./dom.js";
import { drawFacts, factsOf } from "./facts.js";
import { hasPictures, isScalar, keyOf } from "./list.js";
import { SHAPES, shapeOf } from "./overlays.js";
import { problem } from "./record.js";

const HAS_SHAPES = /^(json|array|list|map|\{|zstd\((?!str|bytes)|msgpack)|\[[\d*,]+\]\??$/;

/**
 * The sections of the panel.
 *
 * @param page `{ chosen, filterBy, drawAs, select }`: how fields are drawn, and what is done when the user chooses:
 *   `filterBy(condition)`, `drawAs(key, shape)`, `select(position)`
 */
export function fieldSections(dataset, page) {
  const canDraw = hasPictures(dataset.fields);
  const fields = dataset.fields.map((field, k) => {
    const key = keyOf(field, k);
    const heading = element("h3", {}, element("span", { text: String(key) }), element("code", { text: field.type }));
    const section = element("section", { class: "field" }, heading);
    if (isScalar(field)) section.append(factsButton(dataset, key, page));
    else if (canDraw && HAS_SHAPES.test(field.type)) section.append(shapeChoice(key, page));
    return section;
  });
  return [...fields, metadataSection(dataset), damageSection(dataset, page)];
}

function metadataSection(dataset) {
  const section = element("section", { class: "field" }, element("h3", { text: "Metadata" }));
  dataset.metadata().then(
    (value) => section.append(element("pre", { class: "text", text: JSON.stringify(value, null, 2), tabindex: "0" })),
    (error) => section.append(problem(error)),
  );
  return section;
}

/** A button that becomes what `work(report)` makes, or its error. */
function workButton(text, work) {
  const button = element("button", { type: "button", text });
  button.addEventListener("click", async () => {
    button.disabled = true;
    const made = await work((done) => (button.textContent = `${count(done)} records …`)).catch(problem);
    button.replaceWith(made);
  });
  return button;
}

function factsButton(dataset, key, page) {
  return workButton("Count its values", async (report) => drawFacts(await factsOf(dataset, key, { report }), String(key), page.filterBy));
}

/** Looks at all bytes of all records. */
function damageSection(dataset, page) {
  const button = workButton("Check all records", async (report) => drawDamage(await damagedIn(dataset, report), dataset, page.select));
  return element("section", { class: "field" }, element("h3", { text: "Damage" }), button);
}

/** How a field is drawn over pictures. */
function shapeChoice(key, page) {
  const chosen = shapeOf(key, page.chosen) ?? "no";
  const words = (shape) => (shape === "no" ? "not drawn over pictures" : `drawn as ${shape}`);
  const options = ["no", ...SHAPES].map((shape) => element("option", { value: shape, text: words(shape), selected: shape === chosen }));
  const choice = element("select", { "aria-label": `how ${key} is drawn over pictures` }, options);
  choice.addEventListener("change", () => page.drawAs(key, choice.value));
  return choice;
}
