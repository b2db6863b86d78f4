// Values as elements: short ones for lines and tiles, whole ones for the page of a record.

import { NDArray } from "../values.js";
import { bytesInWords, count, element } from "./dom.js";
import { arrayPicture, isPicture, mediaType, picture, player, sparkline } from "./pictures.js";

const SHORT = 200; // characters
const LONG = 100000;
const MOST_DECODED = 2 ** 24; // bytes of a sound whose waveform is drawn: as samples they are up to some 40 times that
const ROLES = ["role", "from"];
const CONTENTS = ["content", "value", "text"];

const looked = { words: "" }; // for which texts are searched: they are marked

/** Marks some words, whatever their case, in all texts that are shown from now on. */
export function markWords(words) {
  looked.words = words.toLowerCase();
}

/** A text as nodes, with the words that are searched for marked. */
function marked(text) {
  const { words } = looked;
  const lower = text.toLowerCase();
  if (!words || lower.length !== text.length) return [text]; // where lower case is longer, places differ
  const parts = [];
  let from = 0;
  for (let at = lower.indexOf(words); at >= 0; at = lower.indexOf(words, from)) {
    parts.push(text.slice(from, at), element("mark", { text: text.slice(at, at + words.length) }));
    from = at + words.length;
  }
  return [...parts, text.slice(from)];
}

const none = () => element("span", { class: "none", text: "None" });

const DIGITS = { float32: 8, f4: 8, float16: 4, f2: 4, bfloat16: 3 }; // that tell such numbers apart

/** A number, with no more digits than its type has, and the unit of a time that something lasts. */
function numberText(value, type) {
  const kind = type.replace("?", "");
  const digits = DIGITS[kind];
  if (digits && Number.isFinite(value)) return String(Number(value.toPrecision(digits)));
  const unit = /^timedelta64\[(.*)\]$/.exec(kind)?.[1];
  return unit && /^-?\d/.test(String(value)) ? `${value} ${unit}` : String(value);
}

/** A complex number as Python writes it, of its parts; null of another value. */
function complexText(value, type) {
  if (!/^complex\d+\??$/.test(type)) return null;
  const [real, imaginary] = value;
  return `${real}${imaginary < 0 ? "" : "+"}${imaginary}j`;
}

const numbersText = (array, most) => Array.from(array.values.subarray(0, most), (one) => numberText(one, dtypeInWords(array)));

/** Stands for a value that was not read: how large it is. */
export class Unread {
  constructor(size) {
    this.size = size;
  }
}

/** A value in one line. */
export function brief(value, type) {
  if (value === null) return none();
  if (value instanceof Unread) return element("span", { class: "muted", text: `${type.replace("?", "")}, ${bytesInWords(value.size)}` });
  if (typeof value === "string") return element("span", { class: "string" }, marked(cut(value, SHORT)));
  if (typeof value !== "object") return element("span", { class: "number", text: numberText(value, type) });
  if (value instanceof Uint8Array) return picture(value, type) ?? element("span", { class: "muted", text: inWords(value) });
  if (value instanceof NDArray) return briefArray(value);
  if (complexText(value, type)) return element("span", { class: "number", text: complexText(value, type) });
  return element("span", { class: "muted", text: cut(asJson(value), SHORT) });
}

function briefArray(array) {
  const label = `${dtypeInWords(array)}[${array.shape.join(", ")}]`;
  if (isPicture(array) && array.length > 64) return arrayPicture(array, label);
  const numbers = array.values;
  if (numbers && array.shape.length === 1 && array.length > 8) return sparkline(numbers, label);
  const text = numbers ? numbersText(array, 12).join(", ") : "";
  return element("span", { class: "muted", text: `${label} ${text}${array.length > 12 ? ", …" : ""}` });
}

const dtypeInWords = (array) => (typeof array.dtype === "string" ? array.dtype.replace(/^[<|]/, "") : "fields");

function inWords(bytes) {
  return `${mediaType(bytes) ?? "bytes"}, ${bytesInWords(bytes.length)}`;
}

/** A value as a whole. */
export function whole(value, type) {
  if (value === null) return none();
  if (typeof value === "string") return element("pre", { class: "text", tabindex: "0" }, marked(cut(value, LONG)));
  if (typeof value !== "object") return element("span", { class: "number", text: numberText(value, type) });
  if (value instanceof Uint8Array) return media(value, type);
  if (value instanceof NDArray) return wholeArray(value);
  if (complexText(value, type)) return element("span", { class: "number", text: complexText(value, type) });
  if (value.data instanceof Uint8Array && typeof value.suffix === "string") {
    return element("div", {}, element("p", { class: "muted", text: value.suffix || "(no suffix)" }), media(value.data, type));
  }
  return chat(value) ?? folded(value, true);
}

function media(bytes, type) {
  const shown = picture(bytes, type);
  if (shown) return shown;
  const kind = playedAs(bytes, type);
  if (kind?.startsWith("audio/")) return sound(bytes, kind);
  if (kind?.startsWith("video/")) return player(bytes, kind);
  const start = Array.from(bytes.subarray(0, 256), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = `${start}${bytes.length > 256 ? " …" : ""}`;
  return element("div", {}, element("p", { class: "muted", text: inWords(bytes) }), element("pre", { class: "text", text, tabindex: "0" }));
}

/** What kind of file bytes are; files that may hold either are what their field says. */
function playedAs(bytes, type) {
  const kind = mediaType(bytes);
  const said = /^(audio|video)\b/.exec(type)?.[0];
  return said && kind ? kind.replace(/^(audio|video)/, said) : kind;
}

function sound(bytes, kind) {
  const box = element("div", { class: "sound" }, player(bytes, kind));
  if (bytes.length <= MOST_DECODED) waveform(bytes).then((line) => line && box.prepend(line));
  return box;
}

/** The loudest of each piece of a sound, as a drawing; null if the browser cannot decode it. */
async function waveform(bytes) {
  let samples;
  try {
    const decoded = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes.slice().buffer);
    samples = decoded.getChannelData(0);
  } catch {
    return null;
  }
  const canvas = element("canvas", { width: 600, height: 80, role: "img", "aria-label": "waveform", class: "wave" });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).getPropertyValue("--accent");
  const step = Math.max(1, samples.length / 600);
  for (let x = 0; x < 600; x++) {
    let loudest = 0;
    for (let i = Math.floor(x * step); i < Math.min(samples.length, (x + 1) * step); i++) loudest = Math.max(loudest, Math.abs(samples[i]));
    context.fillRect(x, 40 - 39 * loudest, 1, Math.max(1, 78 * loudest));
  }
  return canvas;
}

function wholeArray(array) {
  const label = `${dtypeInWords(array)}[${array.shape.join(", ")}], ${bytesInWords(array.bytes.length)}`;
  const parts = [element("p", { class: "muted", text: label })];
  const numbers = array.values;
  if (isPicture(array)) parts.push(arrayPicture(array, label));
  else if (numbers && array.shape.length === 1 && array.length > 8) parts.push(sparkline(numbers, label));
  if (numbers) {
    const text = numbersText(array, 400).join(" ");
    parts.push(element("pre", { class: "text", text: `${text}${numbers.length > 400 ? " …" : ""}`, tabindex: "0" }));
  }
  return element("div", {}, parts);
}

/** Messages as a chat: a list of objects, each with a role and a content. */
function chat(value) {
  const messages = Array.isArray(value) ? value : (value.messages ?? value.conversations);
  if (!Array.isArray(messages) || messages.length === 0) return null;
  const read = messages.map((one) => [ROLES.map((key) => one?.[key]).find(Boolean), CONTENTS.map((key) => one?.[key]).find((text) => text !== undefined)]);
  if (!read.every(([role, content]) => typeof role === "string" && content !== undefined)) return null;
  const lines = read.map(([role, content]) => {
    const text = typeof content === "string" ? content : asJson(content);
    const side = /user|human/i.test(role) ? "user" : "other";
    return element("div", { class: `message ${side}` }, element("b", { text: role }), element("p", {}, marked(cut(text, LONG))));
  });
  return element("div", { class: "chat" }, lines);
}

const sizeOf = (value) => (value instanceof Map ? value.size : Object.keys(value ?? {}).length);

/** Lists and objects, folded: what is inside is made when it is opened. */
function folded(value, isOpen) {
  if (value === null || typeof value !== "object") return element("span", { class: typeof value, text: value === null ? "null" : String(value) });
  if (value instanceof NDArray || value instanceof Uint8Array) return brief(value, "");
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const words = Array.isArray(value) ? `[${count(entries.length)}]` : `{${count(entries.length)}}`;
  const details = element("details", { open: isOpen }, element("summary", { text: words }));
  const fill = () => {
    if (!details.open || details.children.length > 1) return;
    const shown = entries.slice(0, 500).map(([key, one]) => element("li", {}, element("b", { text: `${key}: ` }), folded(one, entries.length < 6 && sizeOf(one) <= 12)));
    if (entries.length > 500) shown.push(element("li", { class: "muted", text: `… ${count(entries.length - 500)} more` }));
    details.append(element("ul", {}, shown));
  };
  details.addEventListener("toggle", fill);
  if (isOpen) fill();
  return details;
}

/** A value as text, of things that JSON does not have too. */
export function asJson(value) {
  const plain = (_, one) => {
    if (typeof one === "bigint") return String(one);
    if (one instanceof Map) return Object.fromEntries(one);
    if (one instanceof NDArray) return `array[${one.shape}]`;
    return ArrayBuffer.isView(one) ? inWords(one) : one;
  };
  return JSON.stringify(value, plain);
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
