// The edges of one node as a picture: what comes in at the left, what leads out at the right, both ways on both sides.
// Nodes stand on two arcs at equal heights, so that no two names overlap. The table beneath the picture has it in full.

import { svg } from "./dom.js";
import { percent, points } from "./format.js";

/** Edges in the picture at most. */
export const DRAWN = 24;
export const MARKED_AS = "Colours are those of the predicted classes; a ring is a known label.";

const STEP = 42;
const LETTER = 7.2;
const COLOURS = 8;
const CENTRE = 13;
const OTHER = 8;

/** The picture of a node with `{node, label, answer}` and its edges.
 *
 * An edge also has `size`, `gives` (what taking it away changes; null or undefined where that is not known) and `away`,
 * whether it is tried without it.
 */
export function drawn(centre, edges, width, classes) {
  const sides = split(edges);
  const height = Math.max(150, STEP * Math.max(...sides.map((side) => side.length)) + 20);
  const middle = { x: width / 2, y: height / 2 };
  const greatest = Math.max(...edges.map(({ size }) => size), 1e-12);
  const placed = sides.flatMap((side, right) => side.map((edge, index) => ({ edge, right, ...place(index, side.length, right, middle, width, height) })));
  const count = edges.length;
  return svg(
    "svg",
    { role: "img", class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `The node with ${count} ${count === 1 ? "edge" : "edges"}; the table beneath lists them` },
    placed.map((each) => line(each, middle, greatest)),
    placed.map((each) => other(each, width, classes)),
    dot(middle, CENTRE, centre.answer, centre.label !== null, classes),
    svg("text", { x: middle.x, y: middle.y - CENTRE - 8, "text-anchor": "middle", class: "strong" }, shortened(centre.node, width * 0.3)),
  );
}

/** Edges of the left and of the right side. */
function split(edges) {
  const sides = [[], []];
  for (const edge of edges) {
    if (edge.direction === "in") sides[0].push(edge);
    else if (edge.direction === "out") sides[1].push(edge);
    else sides[sides[0].length > sides[1].length ? 1 : 0].push(edge);
  }
  return sides;
}

function place(index, count, right, middle, width, height) {
  const y = middle.y + (index - (count - 1) / 2) * STEP;
  const away = Math.min(0.24 * width, 240);
  const bend = (y - middle.y) / (height / 2);
  const x = middle.x + (right ? 1 : -1) * away * Math.sqrt(1 - 0.75 * bend * bend);
  return { x, y };
}

function line({ edge, x, y, right }, middle, greatest) {
  const explained = edge.gives !== null && edge.gives !== undefined;
  const sign = !explained ? "" : edge.gives <= 0 ? "for" : "against";
  const length = Math.hypot(x - middle.x, y - middle.y);
  const end = (from, to, short) => from + ((to - from) * (length - short)) / length;
  const [fromX, fromY, toX, toY] = [end(middle.x, x, OTHER + 2), end(middle.y, y, OTHER + 2), end(x, middle.x, CENTRE + 3), end(y, middle.y, CENTRE + 3)];
  const thickness = 1.2 + 4.3 * (edge.size / greatest);
  const parts = [svg("line", { class: `edge ${sign}${edge.away ? " away" : ""}`, x1: fromX, y1: fromY, x2: toX, y2: toY, "stroke-width": thickness })];
  if (edge.direction === "in") parts.push(arrow(toX, toY, middle.x - x, middle.y - y));
  if (edge.direction === "out") parts.push(arrow(fromX, fromY, x - middle.x, y - middle.y));
  if (explained) {
    // Nearer to the outer end, where edges are apart.
    const at = 0.3;
    parts.push(svg("text", { class: "gives", x: x + (middle.x - x) * at, y: y + (middle.y - y) * at + 4, "text-anchor": right ? "end" : "start" }, points(-edge.gives).replace(" points", "")));
  }
  return svg("g", {}, parts);
}

/** A head of an arrow whose point is at x, y, in the direction of dx, dy. */
function arrow(x, y, dx, dy) {
  const angle = (Math.atan2(dy, dx) * 180) / Math.PI;
  return svg("path", { class: "arrow", d: "M0 0L-9 -4.5L-9 4.5Z", transform: `translate(${x} ${y}) rotate(${angle})` });
}

function other({ edge, x, y, right }, width, classes) {
  const side = right ? 1 : -1;
  const space = (right ? width - x : x) - OTHER - 10;
  const at = { x: x + side * (OTHER + 6), "text-anchor": right ? "start" : "end" };
  const { answer } = edge;
  const predicted = answer ? `${answer.label} ${percent(answer.probabilities[answer.label])}` : "not predicted";
  return svg(
    "g",
    { class: edge.away ? "other away" : "other", "data-node": encodeURIComponent(edge.node) },
    svg("title", {}, `${edge.node}: ${predicted}`),
    dot({ x, y }, OTHER, answer, edge.label !== undefined, classes),
    svg("text", { ...at, y: y - 2, class: "strong" }, shortened(edge.node, space)),
    svg("text", { ...at, y: y + 13 }, shortened(predicted, space)),
  );
}

function dot({ x, y }, radius, answer, known, classes) {
  const number = answer ? classes.indexOf(answer.label) : -1;
  const colour = number < 0 ? "var(--quiet)" : `var(--series-${(number % COLOURS) + 1})`;
  return svg("g", {}, svg("circle", { cx: x, cy: y, r: radius, style: { fill: colour } }), known ? svg("circle", { class: "ring", cx: x, cy: y, r: radius + 3 }) : null);
}

/** A text that fits into so many pixels, with a sign for what is left out. */
function shortened(text, space) {
  const most = Math.max(3, Math.floor(space / LETTER));
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}…`;
}
