// Pictures: encoded ones, arrays as pictures, and what is drawn over them.

import { NDArray } from "../values.js";
import { bytesInWords, element, svg } from "./dom.js";

const SIGNATURES = [
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/gif", /^GIF8/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
  ["image/bmp", /^BM/],
  ["image/avif", /^[^]{4}ftypavi[fs]/],
  ["audio/wav", /^RIFF[^]{4}WAVE/],
  ["audio/flac", /^fLaC/],
  ["audio/ogg", /^OggS/],
  ["audio/mpeg", /^(ID3|\xff[\xe2-\xff])/],
  ["audio/mp4", /^[^]{4}ftypM4[AB]/],
  ["video/mp4", /^[^]{4}ftyp/],
  ["video/webm", /^\x1a\x45\xdf\xa3/],
];
const MOST_PIXELS = 4096 * 4096;
const MOST_LABELS = 15; // bytes that are all this small are labels of pixels, not shades
const SMALLEST = 8; // pixels of a side: smaller arrays are shown as numbers

/** What kind of file bytes are, of those that browsers show as pictures, sounds and videos; null of others (SVG is one). */
export function mediaType(bytes) {
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  return SIGNATURES.find(([, pattern]) => pattern.test(start))?.[0] ?? null;
}

const lent = new FinalizationRegistry((url) => URL.revokeObjectURL(url));

/** What plays a sound or a video; a text where the browser cannot. Its bytes are given back when it is gone. */
export function player(bytes, type) {
  const kind = type.split("/")[0];
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const made = element(kind, { src: url, controls: true, preload: "metadata", "aria-label": kind });
  const text = `a ${kind === "audio" ? "sound" : "video"} that this browser cannot play: ${type}, ${bytesInWords(bytes.length)}`;
  made.addEventListener("error", () => made.replaceWith(element("p", { class: "muted unplayable", text })));
  lent.register(made, url);
  return made;
}

export function picture(bytes, label) {
  const type = mediaType(bytes);
  if (!type?.startsWith("image/")) return null;
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const done = () => URL.revokeObjectURL(url);
  const broken = (event) => {
    done();
    event.target.replaceWith(element("span", { class: "damaged", text: "a picture that cannot be decoded" }));
  };
  return element("img", { src: url, alt: label, decoding: "async", onload: done, onerror: broken });
}

/** Whether an array can be shown as a picture: H×W, H×W×1, H×W×3 or H×W×4, of some size. */
export function isPicture(value) {
  if (!(value instanceof NDArray) || Array.isArray(value.dtype)) return false;
  const [height, width, channels = 1] = value.shape;
  const isShape = [2, 3].includes(value.shape.length) && [1, 3, 4].includes(channels);
  return isShape && height >= SMALLEST && width >= SMALLEST && height * width <= MOST_PIXELS && value.values !== null;
}

/** An array as a picture: bytes as they are if some are not small, other numbers from black (the least) to white. */
export function arrayPicture(array, label) {
  const [height, width, channels = 1] = array.shape;
  const numbers = array.values;
  const isGray = array.dtype === "|u1" && numbers.some((one) => one > MOST_LABELS);
  const toByte = isGray ? Number : stretched(numbers);
  const pixels = new Uint8ClampedArray(4 * height * width);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = toByte(numbers[i * channels + (channels === 1 ? 0 : c)]);
    pixels[4 * i + 3] = channels === 4 ? toByte(numbers[4 * i + 3]) : 255;
  }
  const canvas = element("canvas", { width, height, role: "img", "aria-label": label, class: "pixels" });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}

function stretched(numbers) {
  let [least, largest] = [Infinity, -Infinity];
  for (const one of numbers) {
    const number = Number(one);
    if (number < least) least = number;
    if (number > largest && Number.isFinite(number)) largest = number;
  }
  const room = largest - least || 1;
  return (number) => (255 * (Number(number) - least)) / room;
}

/** Numbers in a row as a line. */
export function sparkline(numbers, label) {
  const most = 200;
  const step = Math.max(1, Math.ceil(numbers.length / most));
  const shown = [];
  for (let i = 0; i < numbers.length; i += step) shown.push(Number(numbers[i]));
  const finite = shown.filter(Number.isFinite);
  const [least, largest] = [Math.min(...finite), Math.max(...finite)];
  const room = largest - least || 1;
  const points = shown.map((number, i) => {
    const y = Number.isFinite(number) ? 23 - (22 * (number - least)) / room : 12;
    return `${((i * 120) / Math.max(1, shown.length - 1)).toFixed(1)},${y.toFixed(1)}`;
  });
  const line = svg("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1, "vector-effect": "non-scaling-stroke" });
  return svg("svg", { viewBox: "0 0 120 24", class: "spark", preserveAspectRatio: "none", role: "img", "aria-label": label }, line);
}
