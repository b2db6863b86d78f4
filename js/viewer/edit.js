// A form in the place of a value, by which it gets another one.

import { element } from "./dom.js";

const NUMBER = /^u?int\d+|^b?float\d+|^timedelta64/;
const EDITED = /^(str|bool|u?int(8|16|32|64)|b?float(16|32|64)|category\[.*\]|(datetime64|timedelta64)\[\w+\])\??$/s;

/** Whether values of a type can be typed. */
export function canBeEdited(type) {
  return EDITED.test(type);
}

/** A button that becomes a form. `save(text)` stores what was typed (null: None); its error is shown. */
export function editor(name, type, value, save) {
  const button = element("button", { type: "button", class: "edit", text: "Edit", "aria-label": `edit ${name}` });
  button.addEventListener("click", () => {
    const form = formOf(name, type, value, save, () => {
      form.replaceWith(button);
      button.focus();
    });
    button.replaceWith(form);
    form.elements.value.focus();
  });
  return button;
}

function formOf(name, type, value, save, cancel) {
  const input = inputOf(name, type, value);
  const isNone = element("input", { type: "checkbox", name: "none", checked: value === null });
  const none = type.endsWith("?") ? element("label", {}, isNone, " None") : null;
  const message = element("p", { class: "damaged", role: "alert" });
  const buttons = [element("button", { type: "submit", text: "Save" }), element("button", { type: "button", text: "Cancel", onclick: cancel })];
  const form = element("form", { class: "editor" }, input, none, ...buttons, message);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await save(isNone.checked ? null : input.value);
    } catch (error) {
      message.textContent = error.message;
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    cancel();
  });
  input.addEventListener("input", () => (isNone.checked = false));
  return form;
}

function inputOf(name, type, value) {
  const text = value === null ? "" : String(value);
  const attributes = { name: "value", "aria-label": `new value of ${name}` };
  if (type.startsWith("category[")) return choice(attributes, namesOf(type), text);
  if (type.startsWith("bool")) return choice(attributes, ["false", "true"], text);
  if (type.startsWith("str")) return element("textarea", { ...attributes, rows: Math.min(12, 2 + text.length / 60), value: text });
  return element("input", { ...attributes, type: "text", inputmode: NUMBER.test(type) ? "decimal" : null, value: text, autocomplete: "off" });
}

function choice(attributes, names, chosen) {
  const options = names.map((name) => element("option", { value: name, text: name, selected: name === chosen }));
  return element("select", attributes, options);
}

/** The names in `category[a,"b, c"]`. */
function namesOf(type) {
  const inside = type.slice(type.indexOf("[") + 1, type.lastIndexOf("]"));
  const pieces = inside.match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  return pieces.map((piece) => (piece[0] === '"' ? JSON.parse(piece) : piece));
}
