// What is drawn over pictures: boxes, polygons, keypoints and masks, by the names of fields or as the user chose.

import { NDArray } from "../values.js";
import { element, svg } from "./dom.js";

const COLOURS = ["#ff3b6b", "#2ec4ff", "#ffd23f", "#5ae07a", "#c792ff", "#ff9f1c"];
const NAMES = {
  boxes: /^(boxes?|bbox(es)?)$/i,
  polygons: /^(polygons?|segmentations?|contours?)$/i,
  keypoints: /^(key_?points?|landmarks?|joints)$/i,
  mask: /^(masks?|segmentation_mask|label_map)$/i,
  objects: /^(objects|annotations|instances)$/i, // each of which has shapes by their names
};
const LETTERS = 12; // pixels of the screen
const LARGEST_MASK = 4096 * 4096;

/** The ways in which a field can be drawn. */
export const SHAPES = Object.keys(NAMES);

/** How a field is drawn: as it was chosen ("no": not at all), or as its name says; null if not at all. */
export function shapeOf(key, chosen) {
  const given = chosen.get(String(key));
  if (given !== undefined) return given === "no" ? null : given;
  return SHAPES.find((shape) => NAMES[shape].test(key)) ?? null;
}

/** Whether a field of this name is drawn over pictures, or has objects that are. */
export function isDrawn(name) {
  return name !== null && shapeOf(name, new Map()) !== null;
}

/**
 * What a record has to be drawn: `[{ shape, points | box | mask, label }]`, of its fields and of the objects in lists.
 * `chosen`: of fields the shape that the user chose.
 */
export function shapesIn(record, chosen = new Map()) {
  const found = [];
  for (const [key, value] of Object.entries(record ?? {})) {
    const shape = shapeOf(key, chosen);
    if (shape !== null) found.push(...shapesOf(shape, value, ""));
  }
  return found;
}

function shapesOfObject(one) {
  const label = String(one?.label ?? one?.name ?? one?.category ?? "");
  return Object.entries(one ?? {}).flatMap(([key, value]) => {
    const shape = shapeOf(key, new Map());
    return shape === null ? [] : shapesOf(shape, value, label);
  });
}

function shapesOf(shape, value, label) {
  if (shape === "mask") return value instanceof NDArray && value.shape.length === 2 ? [{ shape, mask: value, label }] : [];
  if (shape === "boxes") return rowsOf(value, 4).map((box) => ({ shape, box, label }));
  if (shape === "objects") return Array.isArray(value) ? value.flatMap(shapesOfObject) : [];
  if (shape === "keypoints") return pointsOf(value).map((points) => ({ shape, points, label }));
  return polygonsOf(value).map((points) => ({ shape, points, label }));
}

/** Numbers, however they are nested or typed, flat; null if there is something else. */
function flat(value) {
  if (value instanceof NDArray) return Array.from(value.values ?? [], Number);
  if (!Array.isArray(value)) return null;
  const numbers = value.flat(4);
  return numbers.every((one) => typeof one === "number" && Number.isFinite(one)) ? numbers : null;
}

function rowsOf(value, width) {
  const numbers = flat(value);
  if (numbers === null || numbers.length % width || !numbers.every(Number.isFinite)) return [];
  return Array.from({ length: numbers.length / width }, (_, i) => numbers.slice(width * i, width * (i + 1)));
}

/** Keypoints of x, y, or of x, y and whether they are seen (0: not labelled), by the array's last axis; flat ones have three. */
function pointsOf(value) {
  const shape = value instanceof NDArray ? value.shape : [value?.length, value?.[0]?.length];
  const width = shape.at(-1) === 2 ? 2 : 3;
  const points = rowsOf(value, width).filter(([, , seen = 1]) => seen > 0);
  return points.length ? [points] : [];
}

/** Polygons: one, of x, y, x, y, … or of points; or a list of such, as COCO has them. */
function polygonsOf(value) {
  const isMany = Array.isArray(value) && value.length > 0 && isOutline(value[0]);
  const outlines = isMany ? value : [value];
  return outlines.map((outline) => rowsOf(outline, 2)).filter((points) => points.length > 2);
}

function isOutline(value) {
  const numbers = flat(value);
  return numbers !== null && numbers.length >= 6;
}

/** A picture with shapes over it, which follow its size. Where all numbers are up to 1, they are relative to it. */
export function withShapes(image, shapes) {
  const frame = element("div", { class: "framed" }, image);
  const draw = () => {
    const size = [image.naturalWidth || image.width, image.naturalHeight || image.height];
    if (!size[0]) return;
    const isRelative = shapes.every(({ box, points = [] }) => [...(box ?? []), ...points.flat()].every((number) => number <= 1));
    const scale = isRelative ? size : [1, 1];
    const over = svg("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, class: "over", "aria-hidden": "true" });
    const shown = Math.min(frame.clientWidth / size[0], frame.clientHeight / size[1]); // pixels of the screen a pixel
    const letters = shown > 0 ? LETTERS / shown : size[1] / 16;
    shapes.forEach((one, i) => {
      const colour = COLOURS[i % COLOURS.length];
      if (one.shape === "mask") frame.append(maskPicture(one.mask));
      else over.append(...drawn(one, scale, colour, letters));
    });
    frame.append(over);
  };
  if (image.complete || image.tagName === "CANVAS") draw();
  else image.addEventListener("load", draw);
  return frame;
}

function drawn({ shape, box, points, label }, [sx, sy], colour, letters) {
  const line = { fill: "none", stroke: colour, "stroke-width": 2, "vector-effect": "non-scaling-stroke" };
  if (shape === "boxes") {
    const [x0, y0, x1, y1] = box;
    const place = { x: x0 * sx, y: y0 * sy, width: Math.max(0, (x1 - x0) * sx), height: Math.max(0, (y1 - y0) * sy) };
    return [svg("rect", { ...place, ...line }), ...named(label, place.x, place.y, colour, letters)];
  }
  const scaled = points.map(([x, y]) => [x * sx, y * sy]);
  if (shape === "keypoints") {
    return scaled.map(([cx, cy]) => svg("circle", { cx, cy, r: letters / 4, fill: colour, stroke: "#000", "stroke-width": 0.5 }));
  }
  const outline = svg("polygon", { points: scaled.map((point) => point.join(",")).join(" "), ...line, fill: colour, "fill-opacity": 0.25 });
  return [outline, ...named(label, scaled[0][0], scaled[0][1], colour, letters)];
}

function named(label, x, y, colour, letters) {
  return label ? [svg("text", { x: x + letters / 4, y: Math.max(letters, y - letters / 3), fill: colour, "font-size": letters }, label)] : [];
}

/** A mask as a picture that can be seen through: 0 is nothing, each other number has a colour. */
function maskPicture(mask) {
  const [height, width] = mask.shape;
  const canvas = element("canvas", { width, height, class: "over mask", "aria-hidden": "true" });
  const numbers = mask.values;
  if (numbers === null || height * width > LARGEST_MASK || height * width === 0) return canvas;
  const colours = COLOURS.map((colour) => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)));
  const pixels = new Uint8ClampedArray(4 * height * width);
  for (let i = 0; i < height * width; i++) {
    const number = Number(numbers[i]);
    if (!number) continue;
    const k = Math.abs(Math.trunc(number) - 1) % colours.length;
    pixels.set(colours[k], 4 * i);
    pixels[4 * i + 3] = 110;
  }
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
