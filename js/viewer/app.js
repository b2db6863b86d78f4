// The page: what is open, which records are shown in which order, and what the keys do. All of that is in the URL.

import { open } from "../open.js";
import { loadZstd } from "../zstd.js";
import { nextDifference } from "./compare.js";
import { parseCondition } from "./condition.js";
import { afterwards, count, element } from "./dom.js";
import { canBeEdited, editor } from "./edit.js";
import { fieldSections } from "./fields.js";
import { drawnOf, drawnText, linked, listOf, listText, remember } from "./links.js";
import { Lines, hasPictures, isComplex, isScalar, isText, keyOf } from "./list.js";
import { Order, filtered, sampled, searched, sorted } from "./order.js";
import { inWords, problem, recordPage } from "./record.js";
import { askServer, change, stepOf, undo, viewOf } from "./remote.js";
import { Scroller } from "./scroll.js";
import { markWords } from "./show.js";

const ROW = 30; // pixels
const TILES = 180;
const MOST_SAVED = 1e7; // positions
const TOOLS = ["filter", "find", "sort", "sample", "by", "seed", "step"];

const at = (id) => document.getElementById(id);
const heads = element("div", { class: "heads", role: "rowgroup" });
const state = {
  server: null, // what `dsrecords view` says of itself
  files: [],
  file: 0,
  dataset: null,
  other: null, // a dataset that it is compared with
  positions: null, // that were opened from a file
  order: null,
  selected: null,
  marked: new Set(),
  chosen: new Map(), // how fields are drawn over pictures
  work: null,
};
const lines = new Lines({
  box: at("list"),
  get order() {
    return state.order;
  },
  get selected() {
    return state.selected;
  },
  get marked() {
    return state.marked;
  },
  get chosen() {
    return state.chosen;
  },
  select: (position) => select(position),
});
let scroller = null;

function tell(text) {
  at("message").textContent = text;
}

/** Does something, and tells what went wrong. */
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    tell(inWords(error));
    return undefined;
  }
}

// Opening

/** The bytes that the page has deflated, and as letters. */
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

async function start() {
  loadZstd(inflated(at("zstd").textContent)).catch(() => {});
  const url = new URLSearchParams(location.search).get("url");
  if (url !== null) return openGiven([{ name: url, given: absolute(url) }]);
  state.server = await askServer();
  if (state.server === null) return undefined;
  const { files, steps, changes } = state.server;
  at("step").replaceChildren(element("option", { value: "", text: "all records" }), ...steps.map((name, k) => element("option", { value: k, text: `step ${name}` })));
  at("steps").hidden = steps.length === 0;
  if (steps.length === 1 && linked().step === undefined) remember({ step: "0" });
  showChanges(changes);
  return openGiven(files.map((file) => ({ ...file, given: file.parts.length === 1 ? absolute(file.parts[0]) : file.parts.map(absolute) })));
}

const absolute = (address) => new URL(address, location.href).href;

async function openGiven(files) {
  state.files = files;
  state.positions = null;
  const options = () => files.map(({ name }, k) => element("option", { value: k, text: name }));
  at("file").replaceChildren(...options());
  at("compare").replaceChildren(element("option", { value: "", text: "nothing" }), ...options());
  at("files").hidden = files.length < 2;
  at("compared").hidden = files.length < 2;
  await follow();
}

/** Shows what the address says. */
async function follow() {
  const parts = linked();
  state.marked = new Set(listOf(parts.marked));
  state.chosen = drawnOf(parts.draw);
  await openFile(Math.min(Number(parts.file ?? 0), state.files.length - 1) || 0);
}

function openOne({ given, idx, view, counts }) {
  if (view !== undefined) return open(given, { view: typeof view === "string" ? absolute(view) : view });
  return open(given, idx === undefined ? { counts } : { idx });
}

async function openFile(number) {
  const { name } = state.files[number];
  tell("");
  state.file = number;
  at("file").value = number;
  document.title = `${name} · DSRecords`;
  at("name").textContent = name;
  at("count").textContent = "opening …";
  try {
    await useDataset(await openOne(state.files[number]));
  } catch (error) {
    at("count").textContent = "";
    tell(inWords(error));
    return;
  }
  tell(state.dataset.warnings.join("; "));
  at("start").hidden = true;
  at("tools").hidden = false;
  at("more").hidden = false;
  fillTools();
  drawFields();
  showFields(linked().fields === "1");
  await compareWith(at("compare").value);
  const { line, i } = linked();
  await reorder();
  if (line !== undefined) scroller.goTo(Number(line));
  if (i === undefined) closeRecord();
  else await select(Number(i));
}

async function useDataset(dataset) {
  await state.dataset?.close();
  state.dataset = dataset;
  lines.show(dataset);
}

/** Reads the files anew, as they were changed. */
async function reopen() {
  await useDataset(await openOne(state.files[state.file]));
  scroller.refresh();
  if (state.selected !== null) await select(state.selected);
}

async function compareWith(number) {
  await state.other?.close();
  state.other = null;
  if (number !== "") state.other = (await attempt(() => openOne(state.files[Number(number)]))) ?? null;
  at("next-difference").hidden = state.other === null;
}

function fillTools() {
  const { fields } = state.dataset;
  const sorts = [element("option", { value: "", text: "as stored" })];
  const groups = [element("option", { value: "", text: "evenly" })];
  fields.forEach((field, k) => {
    if (isComplex(field)) return; // has no order
    const label = `${keyOf(field, k)}${isScalar(field) ? "" : " (size)"}`;
    sorts.push(element("option", { value: `+${k}`, text: `${label} ↑` }), element("option", { value: `-${k}`, text: `${label} ↓` }));
    if (isScalar(field)) groups.push(element("option", { value: k, text: `by ${keyOf(field, k)}` }));
  });
  at("sort").replaceChildren(...sorts);
  at("by").replaceChildren(...groups);
  const given = linked();
  at("view").value = given.view ?? (hasPictures(fields) ? "grid" : "table");
  for (const tool of [...TOOLS, "compare"]) at(tool).value = given[tool] ?? "";
  at("only").checked = given.only === "1";
  showMarks();
}

// The order

/** Makes the order that the tools ask for. What was being made is given up. */
async function reorder() {
  state.work?.abort();
  const work = (state.work = new AbortController());
  const options = { report: (done) => showProgress(done), signal: work.signal };
  const asked = Object.fromEntries(TOOLS.map((tool) => [tool, at(tool).value.trim()]));
  remember({ ...asked, view: at("view").value, only: at("only").checked ? "1" : null, line: null });
  markWords(asked.find);
  let order = Order.all(state.dataset.count);
  try {
    order = await ordered(asked, options);
    tell(state.dataset.warnings.join("; "));
  } catch (error) {
    if (work.signal.aborted) return;
    tell(inWords(error));
  }
  if (work.signal.aborted) return;
  at("progress").hidden = true;
  state.order = order;
  const all = `${count(state.dataset.count)} records`;
  at("count").textContent = order.length === state.dataset.count ? all : `${count(order.length)} of ${all}`;
  showNone();
  layOut();
}

/** Says in the place of the list why there is none. */
function showNone() {
  const isNone = state.order.length === 0;
  at("list").hidden = isNone;
  at("none").hidden = !isNone;
  if (!isNone) return;
  const words = state.dataset.count > 0 ? [element("p", { text: "No record is as the tools ask." })] : howToAdd();
  at("none").replaceChildren(...words);
}

function howToAdd() {
  const { fields } = state.dataset;
  const areNamed = fields[0].name !== null;
  const parts = fields.map(({ name }) => (areNamed ? `${JSON.stringify(name)}: …` : "…")).join(", ");
  const record = areNamed ? `{${parts}}` : `(${parts},)`;
  const code = `import dsrecords\n\nwith dsrecords.open(${JSON.stringify(state.files[state.file].name)}) as ds:\n    ds.append(${record})`;
  const first = element("p", { text: "This dataset is empty: it has fields, and no records yet. In Python they are added so; then load this page again." });
  return [first, element("pre", {}, element("code", { text: code }))];
}

function showProgress(done) {
  const bar = at("progress");
  bar.hidden = false;
  bar.max = state.dataset.count;
  bar.value = done;
}

async function ordered(asked, options) {
  const { dataset } = state;
  let order = Order.all(dataset.count);
  if (asked.step) order = Order.of(within(await stepOf(asked.step)));
  else if (state.positions) order = Order.of(within(state.positions));
  if (at("only").checked) order = order.only([...state.marked].sort((one, other) => one - other));
  if (asked.filter) order = order.only(await filtered(dataset, asked.filter, scalarNames(), options));
  if (asked.find) order = Order.of(await searched(dataset, asked.find, textKeys(), order, options));
  if (asked.sample) {
    const by = asked.by === "" ? null : keyOf(dataset.fields[asked.by], Number(asked.by));
    order = Order.of(await sampled(dataset, Number(asked.sample), by, BigInt(asked.seed || 0), order, options));
  }
  if (asked.sort) {
    const k = Number(asked.sort.slice(1));
    order = Order.of(await sorted(dataset, keyOf(dataset.fields[k], k), asked.sort[0] === "-", order, options));
  }
  return /^\d+$/.test(asked.seed) && !asked.sample ? order.shuffled(BigInt(asked.seed)) : order;
}

/** Positions, if the dataset has them all. */
function within(positions) {
  const wrong = positions.find((position) => position >= state.dataset.count);
  if (wrong === undefined) return positions;
  throw new Error(`there is no record ${count(wrong)}: there are ${count(state.dataset.count)}. Are the positions of another dataset?`);
}

const scalarNames = () => state.dataset.fields.filter((field) => isScalar(field) && field.name !== null).map(({ name }) => name);
const textKeys = () => state.dataset.fields.flatMap((field, k) => (isText(field) ? [keyOf(field, k)] : []));

// The list

const isGrid = () => at("view").value === "grid";

function layOut() {
  const draw = (first, length) => (isGrid() ? lines.tiles(first, length) : lines.rows(first, length));
  scroller ??= new Scroller(at("list"), heads, draw, afterwards((line) => remember({ line: line || null }), 300));
  heads.hidden = isGrid();
  heads.replaceChildren(lines.head());
  at("list").style.setProperty("--least", isGrid() ? "0" : `${lines.least}px`);
  layOutAgain(false);
}

/** The same records in the same order, in other room. */
function layOutAgain(keepTop = true) {
  const number = isGrid() ? Math.ceil(state.order.length / lines.across) : state.order.length;
  at("list").setAttribute("aria-rowcount", isGrid() ? number : number + 1);
  scroller.reset(number, isGrid() ? TILES : ROW, keepTop);
}

// A record

async function select(position) {
  if (!Number.isInteger(position) || position < 0 || position >= state.dataset.count) {
    tell(`there is no record ${position}: there are ${count(state.dataset.count)}`);
    return;
  }
  const isOther = position !== state.selected;
  state.selected = position;
  remember({ i: position });
  scroller.refresh();
  const panel = at("record");
  const isLate = setTimeout(() => panel.replaceChildren(barOf(position), element("p", { class: "muted", text: "reading …" })), panel.hidden ? 0 : 500);
  panel.hidden = false;
  const shown = { chosen: state.chosen, other: state.other, editorOf: canEdit() ? editorOf(position) : null };
  const sections = await recordPage(state.dataset, position, shown).catch((error) => [problem(error)]);
  clearTimeout(isLate);
  if (state.selected !== position) return;
  panel.classList.toggle("wide", state.other !== null);
  panel.replaceChildren(barOf(position), ...sections);
  if (isOther) panel.scrollTop = 0;
}

function barOf(position) {
  const step = (by) => element("button", { type: "button", text: by < 0 ? "← k" : "j →", "aria-label": by < 0 ? "previous record" : "next record", onclick: () => move(by) });
  const isMarked = state.marked.has(position);
  const mark = element("button", { type: "button", text: isMarked ? "★" : "☆", "aria-pressed": String(isMarked), "aria-label": "mark this record", onclick: toggleMark });
  const close = element("button", { type: "button", text: "✕", "aria-label": "close the record", onclick: deselect });
  return element("div", { class: "bar-of-record" }, element("h2", { text: `Record ${count(position)}` }), mark, step(-1), step(1), close);
}

function deselect() {
  closeRecord();
  at("list").focus();
}

function closeRecord() {
  state.selected = null;
  remember({ i: null });
  at("record").hidden = true;
  at("record").replaceChildren();
  if (state.order) layOutAgain();
}

/** Goes on to the record some lines further. */
function move(by) {
  if (state.order.length === 0) return;
  const line = state.selected === null ? -1 : state.order.lineOf(state.selected);
  const next = Math.min(state.order.length - 1, Math.max(0, line + by));
  scroller.show(isGrid() ? Math.floor(next / lines.across) : next);
  select(state.order.at(next));
}

async function goToDifference() {
  if (state.other === null) return;
  state.work?.abort();
  const work = (state.work = new AbortController());
  const scalarsOf = ({ fields }) => fields.flatMap((field, k) => (isScalar(field) ? [keyOf(field, k)] : []));
  const first = state.selected === null ? 0 : state.selected + 1;
  try {
    const found = await nextDifference(state.dataset, state.other, scalarsOf, first, { report: showProgress, signal: work.signal });
    tell(found === null ? `no record from ${count(first)} on differs` : "");
    if (found !== null) await select(Math.min(found, state.dataset.count - 1));
  } catch (error) {
    if (!work.signal.aborted) tell(inWords(error));
  }
  at("progress").hidden = true;
}

// Changes

const canEdit = () => Boolean(state.server?.edit && state.files[state.file].editable);

function editorOf(position) {
  return (name, type, value) => {
    if (type === null || !canBeEdited(type)) return null;
    const key = state.dataset.fields[0].name === null ? Number(name) : name;
    return editor(name, type, value, async (text) => {
      const changes = await change({ file: state.file, position, field: key, text, count: state.dataset.count });
      await reopen().finally(() => showChanges(changes)); // last: by then the record is shown as it is
    });
  };
}

async function undoLast() {
  if (!state.server?.changes?.next) return;
  const { file, position } = state.server.changes.next;
  await attempt(async () => {
    const changes = await undo();
    try {
      if (file === state.file) await reopen();
      if (file === state.file && state.selected !== null) await select(position);
    } finally {
      showChanges(changes); // last: by then the record is shown as it is
    }
  });
}

function showChanges(changes) {
  if (changes) state.server.changes = changes;
  const next = changes?.next ?? null;
  at("undo").hidden = next === null;
  if (next !== null) at("undo").textContent = `Undo ${next.field} of record ${count(next.position)} (${changes.changes})`;
}

// Marks

function toggleMark() {
  if (state.selected === null) return;
  if (!state.marked.delete(state.selected)) state.marked.add(state.selected);
  remember({ marked: listText(state.marked) });
  showMarks();
  scroller.refresh();
  at("record").firstElementChild?.replaceWith(barOf(state.selected));
}

function showMarks() {
  at("marks").hidden = state.marked.size === 0;
  at("save-marked").textContent = `Save view of ${count(state.marked.size)} marked`;
}

/** Downloads a view of the marked records; without a server of ours their positions. */
async function saveMarked() {
  const positions = [...state.marked].sort((one, other) => one - other);
  const isView = state.server !== null && state.files[state.file].parts.length === 1;
  if (!isView) return saveAs("marked.json", new Blob([JSON.stringify(positions)]));
  return attempt(async () => saveAs("marked.idx", await viewOf(state.file, positions)));
}

/** Downloads the positions that are shown, in their order, as JSON: `ds[json.load(file)]` is the view of them. */
function save() {
  const positions = Array.from({ length: Math.min(state.order.length, MOST_SAVED) }, (_, line) => state.order.at(line));
  saveAs("positions.json", new Blob([JSON.stringify(positions)], { type: "application/json" }));
}

function saveAs(ending, blob) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: `${at("name").textContent.replace(/\.rec$/, "")}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The fields

function drawFields() {
  const close = element("button", { type: "button", text: "✕", "aria-label": "close the fields", onclick: () => showFields(false) });
  const sections = fieldSections(state.dataset, {
    chosen: state.chosen,
    filterBy(condition) {
      at("filter").value = condition;
      reorder();
    },
    drawAs(key, shape) {
      state.chosen.set(String(key), shape);
      remember({ draw: drawnText(state.chosen) });
      scroller.refresh();
      if (state.selected !== null) select(state.selected);
    },
    select,
  });
  const bar = element("div", { class: "bar-of-record" }, element("h2", { text: "Fields" }), close);
  at("fields").replaceChildren(bar, ...sections, keysInWords());
}

function keysInWords() {
  const rows = KEYS.filter(({ words }) => words).map(({ key, words }) => element("tr", {}, element("th", { scope: "row" }, element("kbd", { text: key })), element("td", { text: words })));
  return element("section", { class: "field" }, element("h3", { text: "Keys" }), element("table", {}, element("tbody", {}, rows)));
}

function showFields(isShown) {
  at("fields").hidden = !isShown;
  at("about").setAttribute("aria-expanded", isShown);
  remember({ fields: isShown ? "1" : null });
  if (state.order) layOutAgain();
}

/** On a narrow screen the tools are behind a button. */
function showTools(isShown) {
  at("tools").classList.toggle("closed", !isShown);
  at("more").setAttribute("aria-expanded", isShown);
}

function enter(tool) {
  showTools(true);
  at(tool).focus();
}

// What people do

const KEYS = [
  { key: "j", words: "the next record", action: () => move(1) },
  { key: "k", words: "the record before", action: () => move(-1) },
  { key: "ArrowDown", action: () => move(isGrid() ? lines.across : 1) },
  { key: "ArrowUp", action: () => move(isGrid() ? -lines.across : -1) },
  { key: "/", words: "search", action: () => enter("find") },
  { key: "f", words: "filter", action: () => enter("filter") },
  { key: "g", words: "go to a record", action: () => enter("goto") },
  { key: "m", words: "mark the record", action: toggleMark },
  { key: "e", words: "edit its first field", action: () => at("record").querySelector("button.edit")?.click() },
  { key: "u", words: "undo an edit", action: undoLast },
  { key: "d", words: "the next record that differs", action: goToDifference },
  { key: "?", words: "fields and keys", action: () => showFields(at("fields").hidden) },
  { key: "Escape", words: "close", action: () => deselect() },
];

function pressed(event) {
  if (state.order === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (isTyping && event.key !== "Escape") return;
  if (isTyping) {
    event.target.blur();
    return;
  }
  const action = KEYS.find(({ key }) => key === event.key)?.action;
  if (action === undefined) return;
  event.preventDefault();
  action();
}

function filterTyped(later) {
  const text = at("filter").value.trim();
  try {
    if (text) parseCondition(text, scalarNames());
    at("filter").removeAttribute("aria-invalid");
    later();
  } catch (error) {
    at("filter").setAttribute("aria-invalid", "true");
    tell(error.message);
  }
}

function listen() {
  const later = afterwards(reorder, 400);
  const on = (id, event, action) => at(id).addEventListener(event, action);
  on("filter", "input", () => filterTyped(later));
  for (const id of ["find", "seed", "sample"]) on(id, "input", later);
  for (const id of ["sort", "by", "step", "only"]) on(id, "change", reorder);
  on("view", "change", () => {
    remember({ view: at("view").value, line: null });
    layOut();
  });
  on("file", "change", () => {
    remember({ file: at("file").value, i: null, line: null, marked: null, draw: null });
    follow();
  });
  on("compare", "change", async () => {
    remember({ compare: at("compare").value });
    await compareWith(at("compare").value);
    if (state.selected !== null) await select(state.selected);
  });
  on("goto", "change", () => at("goto").value !== "" && select(Number(at("goto").value)));
  on("tools", "submit", (event) => event.preventDefault());
  on("save", "click", save);
  on("save-marked", "click", saveMarked);
  on("undo", "click", undoLast);
  on("next-difference", "click", goToDifference);
  on("more", "click", () => showTools(at("tools").classList.contains("closed")));
  on("about", "click", () => showFields(at("fields").hidden));
  on("open", "submit", (event) => {
    event.preventDefault();
    const name = at("url").value;
    if (name) openGiven([{ name, given: absolute(name) }]);
  });
  on("choose", "change", () => openChosen([...at("choose").files]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    openChosen([...event.dataTransfer.files]);
  });
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", () => state.files.length > 0 && follow());
  addEventListener("resize", afterwards(() => state.order && layOutAgain(), 100));
}

/**
 * Files that were chosen or dropped: each `.rec` with the `.idx` of its name; without a `.rec`, an `.idx` is a view of what
 * is open, and a `.json` has the positions that are to be shown.
 */
async function openChosen(chosen) {
  const ending = (end) => chosen.filter(({ name }) => name.endsWith(end));
  const records = chosen.filter(({ name }) => !/\.(idx|json)$/.test(name));
  const indexOf = ({ name }) => chosen.find((one) => one.name === `${name.replace(/\.rec$/, "")}.idx`) ?? null;
  if (records.length > 0) return openGiven(records.map((file) => ({ name: file.name, given: file, idx: indexOf(file), parts: [] })));
  const [view] = ending(".idx");
  const [positions] = ending(".json");
  if (state.dataset === null || (!view && !positions)) return tell("choose a .rec, and its .idx beside it");
  if (positions) return attempt(() => openPositions(positions));
  state.files[state.file] = { ...state.files[state.file], view, editable: false };
  state.positions = null;
  return openFile(state.file);
}

async function openPositions(file) {
  const positions = JSON.parse(await file.text());
  const areRight = Array.isArray(positions) && positions.every((one) => Number.isSafeInteger(one) && one >= 0);
  if (!areRight) throw new Error(`${file.name} is not a list of positions`);
  state.positions = positions;
  await reorder();
}

listen();
start().catch((error) => tell(inWords(error)));
