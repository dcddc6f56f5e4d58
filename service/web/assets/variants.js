// The variants side by side: how each compares with the champion, what it costs, and promotion where the key allows it.

import { confirmed } from "./dialog.js";
import { byId, html, outside, show, table, visible } from "./dom.js";
import { bytes, clock, count, loss, percent, points } from "./format.js";
import { request } from "./request.js";

const HEADS = ["Variant", "Serves", "Accuracy, recent", "Against the champion", "Over time", "Lag", "CPU", "Memory", "Actions"];
const WRAPS = { "Against the champion": "wraps", "Over time": "wraps", CPU: "wraps" };
const METRICS = { accuracy: "accuracy", macro_f1: "macro-F1", log_loss: "log-loss", average_precision: "average precision" };
const NONE = "–";
const NO_VARIANTS = { champion: "default", variants: [], promotions: [] };

let mayPromote = false;
let changed = () => {};
let known = NO_VARIANTS;
let graph = "";

/** `after` is called when something was changed. */
export function listen(after) {
  changed = after;
  byId("variants").addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-promote]");
    if (button) promote(decodeURIComponent(button.dataset.promote));
  });
}

/** Take over what the key allows. */
export function allow(scopes) {
  mayPromote = scopes.includes("admin");
  showVariants(known, graph);
}

/** Show the variants as `GET /variants` has them, of the graph with this name. */
export function showVariants(found, name) {
  known = found;
  graph = name;
  const { champion, variants, promotions } = known;
  const several = variants.length > 1;
  byId("variants-now").textContent = several ? visible(`${champion} is the champion: it answers whoever names no variant`) : "";
  byId("variants-may").textContent = several && !mayPromote ? "This key may read variants. To promote one, sign in with a key that has the scope admin." : "";
  if (!several) {
    show(byId("variants"), html("p", { class: "quiet" }, "There is no other variant. A worker that is started with olad worker --variant NAME is one."));
    show(byId("promotions"));
    return;
  }
  show(byId("variants"), table(HEADS, variants.map(row), { columnClass: WRAPS, rowClass: (at) => (variants[at].name === champion ? "served" : null) }));
  const past = promotions.slice(0, 3).map((each) => html("li", { title: `position ${each.position}` }, `${clock(1000 * each.time)}: `, outside(each.champion), " took the place of ", outside(each.before)));
  show(byId("promotions"), ...(past.length ? [html("h3", { class: "quiet" }, "Promotions, newest first"), html("ul", {}, past)] : []));
}

function row({ name, alive, version, student, score, behind_events: behind, cost, memory_used: memory, comparison }) {
  const isChampion = name === known.champion;
  const badges = [...(isChampion ? [" ", html("span", { class: "badge" }, "champion")] : []), ...(alive ? [] : [" ", html("span", { class: "badge" }, "away")])];
  const may = mayPromote && !isChampion && alive && version !== null;
  return [
    html("span", {}, outside(name), ...badges),
    version === null ? "no version yet" : outside(`${student}, version ${version}`),
    percent(score?.accuracy_recent),
    isChampion ? NONE : against(comparison),
    overTime(comparison),
    `${count(behind)} ${behind === 1 ? "event" : "events"}`,
    cost === null ? NONE : `${perEvent(cost.cpu_ms_per_event)}${percent(cost.cpu_share)} of a core lately`,
    memory === null ? NONE : bytes(memory),
    html("span", { class: "actions" }, may ? html("button", { type: "button", class: "plain", "data-promote": encodeURIComponent(name), "aria-label": `Promote ${name}` }, "Promote") : null),
  ];
}

const perEvent = (ms) => (ms === null ? "" : `${ms.toFixed(ms < 10 ? 2 : 0)} ms an event, `);

/** The difference on the metric that decides: `accuracy +5.0 points [+2.0, +8.0] on 400 nodes, ahead`. */
function against(comparison) {
  if (comparison === null) return "no node in common yet";
  const { metric, difference, outcome, whole } = comparison;
  if (difference === null) return `${named(metric)}: not known`;
  const { value, low, high } = difference;
  const write = writerOf(metric);
  const interval = low === null ? ", no interval yet" : ` [${bare(write(low))}, ${bare(write(high))}]`;
  return html("span", {}, `${named(metric)} ${write(value)}${interval} on ${count(whole.pairs)} nodes, `, html("strong", {}, outcome));
}

function overTime(comparison) {
  if (!comparison?.windows.length) return NONE;
  const field = comparison.metric.split(":")[0];
  const write = writerOf(comparison.metric);
  return comparison.windows.map((window) => (window[field] === null ? NONE : bare(write(window[field].value)))).join(", ");
}

const named = (metric) => METRICS[metric.split(":")[0]] ?? metric;
const writerOf = (metric) => (metric === "log_loss" ? signedLoss : points);
const signedLoss = (value) => `${value < 0 ? "−" : "+"}${loss(Math.abs(value))}`;
const bare = (text) => text.replace(" points", "");

async function promote(name) {
  const text = `Of graph ${graph}: variant ${name} answers every request that names no variant, for all readers and from one position on. ${known.champion} learns on beside it and is asked with ?variant=${known.champion}. No event and no model is changed. To undo it, promote ${known.champion}.`;
  if (!(await confirmed(`Promote ${name}?`, text, "Promote"))) return;
  show(byId("variants-done"));
  try {
    const done = await request(`variants/${encodeURIComponent(name)}/promote`, { method: "POST" });
    show(byId("variants-done"), `${done.champion} is the champion from position ${done.position} on.`);
    changed();
  } catch (error) {
    show(byId("variants-done"), error.message);
  }
}
