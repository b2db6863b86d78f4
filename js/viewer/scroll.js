// A list of any length, of which only the lines on the screen exist.

import { element } from "./dom.js";

const TALLEST = 8e6; // pixels: browsers draw wrongly from some 16 million on

/** A scrolled list of lines of one height, below `head`. `draw(first, count)` returns the elements of some lines. */
export class Scroller {
  constructor(box, head, draw, moved) {
    this.moved = moved; // called when another line is the first one
    this.made = new Map(); // elements by line: those that stay on the screen are not made again
    this.box = box;
    this.head = head;
    this.draw = draw;
    this.space = element("div", { class: "space", "aria-hidden": "true" });
    this.shown = element("div", { class: "shown", role: "presentation" });
    box.replaceChildren(head, this.space, this.shown);
    this.lines = 0;
    this.height = 30;
    this.top = 0; // pixels of the whole list that are above the screen
    this.asked = null;
    box.addEventListener("scroll", () => this.#scrolled());
    box.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    new ResizeObserver(() => this.redraw()).observe(box);
  }

  /** Shows a list of so many lines of so many pixels. */
  reset(lines, height, keepTop = false) {
    this.lines = lines;
    this.height = height;
    this.space.style.height = `${Math.min(TALLEST, this.total)}px`;
    this.made.clear();
    this.moveTo(keepTop ? this.top : 0);
    this.redraw();
  }

  /** Makes the lines on the screen anew, as what they show has changed. */
  refresh() {
    this.made.clear();
    this.redraw();
  }

  /** Shows a line at the top, as far as the list goes. */
  goTo(line) {
    this.moveTo(line * this.height);
  }

  get total() {
    return this.lines * this.height;
  }

  get first() {
    return Math.floor(this.top / this.height);
  }

  /** Pixels that are there for lines. */
  get room() {
    return this.box.clientHeight - this.head.offsetHeight;
  }

  get visible() {
    return Math.max(1, Math.floor(this.room / this.height));
  }

  /** Scrolls as little as it takes to show a line. */
  show(line) {
    const above = line * this.height;
    const below = above + this.height - this.room;
    if (above < this.top) this.moveTo(above);
    else if (below > this.top) this.moveTo(below);
  }

  moveTo(top) {
    const most = Math.max(0, this.total - this.room);
    this.top = Math.min(Math.max(0, top), most);
    this.asked = Math.round(this.top / this.#scale());
    this.box.scrollTop = this.asked;
    this.redraw();
  }

  /** How many pixels of the list one of the scroll bar stands for. */
  #scale() {
    const most = Math.min(TALLEST, this.total) - this.room;
    return most <= 0 ? 1 : (this.total - this.room) / most;
  }

  #scrolled() {
    if (Math.abs(this.box.scrollTop - this.asked) < 1) return;
    this.asked = this.box.scrollTop;
    this.top = this.asked * this.#scale();
    this.redraw();
  }

  #wheeled(event) {
    if (this.#scale() === 1 || event.ctrlKey) return;
    event.preventDefault();
    const unit = [1, this.height, this.room][event.deltaMode];
    this.moveTo(this.top + event.deltaY * unit);
  }

  /** Draws at the next frame, once. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      const first = Math.max(0, this.first - 2);
      const count = Math.min(this.lines - first, this.visible + 6);
      this.shown.replaceChildren(...this.#linesOf(first, Math.max(0, count)));
      const offset = first * this.height - this.top + this.box.scrollTop;
      this.shown.style.top = `${this.head.offsetHeight}px`;
      this.shown.style.transform = `translateY(${offset}px)`;
      this.moved(this.first);
    });
  }

  #linesOf(first, count) {
    const shown = new Map();
    for (let line = first; line < first + count; line++) shown.set(line, this.made.get(line) ?? this.draw(line, 1)[0]);
    this.made = shown;
    return shown.values();
  }
}
