import { html, outside, svg } from "./dom.js";
import { clock } from "./format.js";

const MARGIN = { top: 10, right: 14, bottom: 26, left: 52 };
export const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 4", "1 4", "10 3 2 3 2 3"];

/** About `wanted` round numbers that cover `low` to `high`. */
function roundTicks(low, high, wanted, smallest) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max([1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough), smallest);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

const TIME_STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((s) => s * 1000);

function timeTicks(start, end, wanted) {
  const step = TIME_STEPS.find((size) => (end - start) / size <= wanted) ?? TIME_STEPS.at(-1) * Math.ceil((end - start) / (wanted * TIME_STEPS.at(-1)));
  const ticks = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) ticks.push(time);
  return { ticks, seconds: step < 60000 };
}

/** Path through the points; a null lifts the pen. */
export function pathOf(points, x, y) {
  let drawn = "";
  let down = false;
  points.forEach(([time, value], index) => {
    if (value === null) {
      down = false;
      return;
    }
    const alone = !down && (index + 1 === points.length || points[index + 1][1] === null);
    drawn += `${down ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}${alone ? "h0.1" : ""}`;
    down = true;
  });
  return drawn;
}

/** The points between gaps, each run of them by itself. */
function runsOf(points) {
  const runs = [[]];
  for (const point of points) {
    if (point[1] !== null) runs.at(-1).push(point);
    else if (runs.at(-1).length) runs.push([]);
  }
  return runs.filter((run) => run.length);
}

/** A line chart over time that fills `box` and follows its width.
 *
 * `draw(series, options)` takes series `{name, color, dash, width, points, area}` and options
 * `{format, exact, empty, label, smallest, floor, ceiling, zero, marks}`: how to write a value at the axis and under the pointer,
 * the text without any, the text for screen readers, the smallest step of the axis, limits that it does not cross,
 * whether it starts at zero, and moments `{time, kind, text}` that are marked. The arrow keys move through the samples as the pointer does.
 */
export class LineChart {
  constructor(box) {
    this.box = box;
    this.series = [];
    this.options = {};
    this.pointer = null;
    new ResizeObserver(() => this.render()).observe(box);
    box.addEventListener("pointermove", (event) => this.point(event.clientX - box.getBoundingClientRect().left));
    box.addEventListener("pointerleave", () => this.point(null));
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => this.point(null));
  }

  draw(series, options) {
    this.series = series;
    this.options = options;
    this.render();
  }

  point(x) {
    this.pointer = x;
    this.render();
  }

  /** Move to the sample that a key leads to, where the key leads to one. */
  key(event) {
    const times = this.series[0]?.points.map(([time]) => time) ?? [];
    if (!times.length || !this.toX) return;
    const last = times.length - 1;
    const now = this.pointer === null ? last + 1 : this.nearest(times);
    const targets = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last };
    if (event.key === "Escape") this.point(null);
    if (!(event.key in targets)) return;
    event.preventDefault();
    this.point(this.toX(times[targets[event.key]]));
  }

  nearest(times) {
    return times.reduce((best, time, at) => (Math.abs(this.toX(time) - this.pointer) < Math.abs(this.toX(times[best]) - this.pointer) ? at : best), 0);
  }

  render() {
    const { width, height } = this.box.getBoundingClientRect();
    const values = this.series.flatMap(({ points }) => points.map(([, value]) => value).filter((value) => value !== null));
    if (!values.length || width < 100) {
      this.box.replaceChildren(html("p", { class: "empty quiet" }, this.options.empty ?? ""));
      return;
    }
    const times = this.series.flatMap(({ points }) => points.map(([time]) => time));
    const start = times.reduce((a, b) => Math.min(a, b));
    const end = Math.max(times.reduce((a, b) => Math.max(a, b)), start + 10000);
    const levels = this.levels(values);
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const x = (time) => MARGIN.left + ((time - start) / (end - start)) * (right - MARGIN.left);
    this.toX = x;
    const y = (value) => bottom - ((value - levels[0]) / (levels.at(-1) - levels[0])) * (bottom - MARGIN.top);
    const { ticks, seconds } = timeTicks(start, end, Math.max(2, (right - MARGIN.left) / 90));
    const picture = svg(
      "svg",
      { role: "img", "aria-label": this.options.label },
      levels.map((level) => [
        svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(level), y2: y(level) }),
        svg("text", { x: MARGIN.left - 8, y: y(level) + 4, "text-anchor": "end" }, this.options.format(level)),
      ]).flat(),
      ticks.map((time) => svg("text", { x: x(time), y: height - 6, "text-anchor": "middle" }, clock(time, seconds))),
      this.marks(start, end).map(({ time, kind, text }) => mark(kind, x(time), bottom, text)),
      this.series.map((line) => this.line(line, x, y, bottom)).flat(),
    );
    this.box.replaceChildren(picture);
    if (this.pointer !== null) this.tip(picture, x, bottom, width);
  }

  marks(start, end) {
    return (this.options.marks ?? []).filter(({ time }) => time >= start && time <= end);
  }

  levels(values) {
    const { floor = -Infinity, ceiling = Infinity, smallest = 0 } = this.options;
    let low = values.reduce((a, b) => Math.min(a, b));
    let high = values.reduce((a, b) => Math.max(a, b));
    const margin = Math.max((high - low) * 0.08, smallest);
    low = Math.max(floor, this.options.zero ? 0 : low - margin);
    high = Math.min(ceiling, high + margin);
    if (high <= low) high = low + (smallest || 1);
    return roundTicks(low, high, 5, smallest).filter((level) => level >= floor - 1e-9 && level <= ceiling + 1e-9);
  }

  line({ color, dash, width = 1.8, points, area }, x, y, bottom) {
    const line = svg("path", { class: "series", d: pathOf(points, x, y), "stroke-dasharray": dash || null, "stroke-width": width, style: { stroke: color } });
    if (!area) return [line];
    const shape = runsOf(points).map((run) => `${pathOf(run, x, y)}L${x(run.at(-1)[0])} ${bottom}L${x(run[0][0])} ${bottom}Z`);
    return [svg("path", { class: "area", d: shape.join(""), style: { fill: color } }), line];
  }

  tip(picture, x, bottom, width) {
    const all = this.series[0].points.map(([time]) => time);
    const index = this.nearest(all);
    const at = x(all[index]);
    picture.append(svg("line", { class: "cursor", x1: at, x2: at, y1: MARGIN.top, y2: bottom }));
    const rows = this.series
      .map((line) => ({ line, value: line.points[index]?.[1] ?? null }))
      .filter(({ value }) => value !== null)
      .map(({ line, value }) => html("tr", {}, html("td", {}, sample(line), outside(line.name)), html("td", {}, (this.options.exact ?? this.options.format)(value))));
    // What happened since the sample before it.
    const since = all[index - 1] ?? all[index];
    const happened = this.marks(since + 1, all[index]).map(({ text }) => html("div", {}, text));
    const side = at > width / 2 ? { right: `${width - at + 10}px` } : { left: `${at + 10}px` };
    this.box.append(html("div", { class: "tip", style: side }, html("div", { class: "quiet" }, clock(all[index])), ...happened, html("table", {}, html("tbody", {}, rows))));
  }
}

/** A mark at x: a line through the chart, or a small sign at its edge. */
function mark(kind, x, bottom, text) {
  const shapes = {
    version: { d: `M${x} ${MARGIN.top}l-4 -7h8z` },
    labels: { d: `M${x} ${bottom}v-6` },
  };
  const shape = shapes[kind] ?? { d: `M${x} ${MARGIN.top}V${bottom}` };
  return svg("path", { class: `mark ${kind}`, ...shape }, svg("title", {}, text));
}

/** A mark as it stands in a legend. */
export const markSample = (kind) => {
  const shapes = { version: "M6 10l-4 -7h8z", labels: "M6 11v-6" };
  return svg("svg", { class: "chart-mark", width: 12, height: 12, "aria-hidden": "true" }, svg("path", { class: `mark ${kind}`, d: shapes[kind] ?? "M6 0V12" }));
};

/** A short piece of a series' line, for legends. */
export const sample = ({ color, dash, width = 1.8 }) =>
  svg("svg", { class: "swatch", width: 24, height: 10, "aria-hidden": "true" }, svg("path", { d: "M1 5H23", fill: "none", "stroke-width": width + 0.4, "stroke-dasharray": dash || null, style: { stroke: color } }));

/** A line without axes, for a table cell. */
export function sparkline(points) {
  const values = points.map(([, value]) => value).filter((value) => value !== null);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const span = values.reduce((a, b) => Math.max(a, b), -Infinity) - low || 1;
  const start = points[0]?.[0] ?? 0;
  const length = points.length > 1 ? points.at(-1)[0] - start : 1;
  const path = pathOf(points, (time) => ((time - start) / length) * 200, (value) => 24 - ((value - low) / span) * 22);
  return svg("svg", { class: "spark", viewBox: "0 0 200 26", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: path, "vector-effect": "non-scaling-stroke" }));
}
