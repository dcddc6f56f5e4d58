// One node: found by its id or by what the id begins with, its prediction, its edges as a picture and as a table,
// what each contributes, and what would be predicted after some events.

import { byId, html, outside, show, table } from "./dom.js";
import { count, percent, points } from "./format.js";
import { nodeButton } from "./lists.js";
import { drawn, DRAWN, MARKED_AS } from "./picture.js";
import { request } from "./request.js";
import { begin as beginTry, listen as listenToTry, showTried, toggle, triesRemoval } from "./trial.js";

const SHOWN = 10;
const FOUND = 12;
const EDGES = 40;
const EFFECTS = 1000;

/** What is known of the node that is shown. `answers` are predictions of it and its neighbours, by id. */
let shown = null;
let classes = [];
let drawnWidth = 0;

export function listen() {
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const node = byId("node").value;
    if (node) open(node);
    else search("");
  });
  byId("search").addEventListener("click", () => search(byId("node").value));
  byId("explain").addEventListener("click", explain);
  byId("node-panel").addEventListener("click", ({ target }) => {
    const other = target.closest("[data-node]");
    const edge = target.closest("button[data-edge]");
    if (other) open(decodeURIComponent(other.dataset.node));
    if (edge) takeAway(Number(edge.dataset.edge));
  });
  listenToTry(() => shown, showEdges);
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width !== drawnWidth && shown?.edges) showPicture();
  }).observe(byId("picture"));
}

/** Names of the classes, whose order gives them their colours. */
export function nameClasses(names) {
  classes = names;
}

/** Show a node, and the ids that begin so where there is none. */
export async function open(node) {
  byId("node").value = node;
  show(byId("found"));
  if (node === "." || node === "..") {
    forget(problem("A browser takes this id for a folder. Ask with POST /predict."));
    return;
  }
  const asked = { node };
  forget();
  shown = asked;
  try {
    const answer = await request(`predict/${encodeURIComponent(node)}`);
    if (shown !== asked) return;
    Object.assign(asked, { answer, answers: new Map([[node, answer]]), effects: null });
    byId("answer").replaceChildren(...prediction(answer));
    await showNeighbours(asked);
  } catch (error) {
    if (shown !== asked) return;
    forget(problem(error.message));
    if (error.status === 404) await search(node);
  }
}

function forget(...instead) {
  shown = null;
  byId("around").hidden = true;
  byId("answer").replaceChildren(...instead);
}

async function search(prefix) {
  const box = byId("found");
  try {
    const { nodes } = await request(`nodes?order=id&labelled=true&limit=${FOUND}&prefix=${encodeURIComponent(prefix)}`);
    const head = prefix ? [nodes.length ? "Ids that begin with " : "No id begins with ", outside(prefix)] : ["Some ids"];
    const more = nodes.length === FOUND ? `; the first ${FOUND} that were found` : "";
    show(box, html("p", { class: "quiet" }, ...head, nodes.length ? `${more}:` : "."), html("div", { class: "found" }, nodes.map(({ node, label }) => html("span", {}, nodeButton(node), html("span", { class: "quiet" }, " ", outside(label))))));
  } catch (error) {
    show(box, problem(error.message));
  }
}

const problem = (text) => html("p", { class: "notice", "data-kind": "warn" }, text);

function prediction({ node, label, probabilities, disagreement, student, model_version: version, position, behind }) {
  const ranked = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
  const bars = ranked.slice(0, SHOWN).flatMap(([name, share]) => [
    html("span", { class: "name" }, outside(name)),
    html("span", { class: "track", "aria-hidden": "true" }, html("div", { style: { width: `${100 * share}%` } })),
    html("span", {}, percent(share)),
  ]);
  const rest = ranked.length > SHOWN ? `${count(ranked.length - SHOWN)} less likely classes left out. ` : "";
  return [
    html("p", { class: "label" }, outside(node), " → ", outside(label)),
    html("div", { class: "bars" }, bars),
    html("p", {}, `The group's members differ by ${percent(disagreement)} about this node: 0 % is not at all, 100 % as far as can be.`),
    html("p", { class: "quiet" }, `${rest}By `, outside(student), `, version ${version}, at position ${position}, ${count(behind)} events behind the log.`),
  ];
}

async function showNeighbours(asked) {
  const around = byId("around");
  around.hidden = false;
  byId("explain").disabled = true;
  show(byId("around-now"), "Reading the edges.");
  show(byId("picture"));
  show(byId("edges"));
  show(byId("effects"));
  beginTry();
  try {
    const found = await request(`neighbours/${encodeURIComponent(asked.node)}?limit=${EDGES}`);
    if (shown !== asked) return;
    Object.assign(asked, { edges: found.edges, count: found.count, label: found.label });
    await predictOthers(asked);
  } catch (error) {
    if (shown === asked) show(byId("around-now"), `The edges cannot be shown. ${error.message}`);
  }
  if (shown === asked && asked.edges) showEdges();
}

async function predictOthers(asked) {
  const nodes = [...new Set(asked.edges.map(({ node }) => node))];
  if (!nodes.length) return;
  const { predictions } = await request("predict", { method: "POST", body: { nodes } });
  for (const each of predictions) if (each.label !== null) asked.answers.set(each.node, each);
}

async function explain() {
  const asked = shown;
  if (!asked?.edges) return;
  show(byId("effects"), html("p", { class: "quiet" }, "Taking away one thing at a time."));
  try {
    const found = await request(`explain/${encodeURIComponent(asked.node)}?k=${EFFECTS}`);
    if (shown !== asked) return;
    asked.effects = found;
    showEdges();
  } catch (error) {
    if (shown === asked) show(byId("effects"), problem(error.message));
  }
}

/** What taking away a thing changes, for the picture and the table; null before an explanation, undefined where it is none of those. */
const change = (kind, node, type) => (shown.effects ? shown.effects.effects.find((each) => each.kind === kind && each.node === node && (kind !== "edge" || each.type === type))?.change : null);

const WAYS = { in: "comes in", out: "leads out", both: "both ways" };

function showEdges() {
  const { edges, count: all, label } = shown;
  const known = label === null ? ["Its label is not known."] : ["Its known label is ", outside(label), "."];
  const listed = edges.length < all ? ` The ${edges.length} of the greatest weight are listed.` : "";
  const inPicture = edges.length > DRAWN ? ` The picture has the first ${DRAWN}.` : "";
  show(byId("around-now"), html("span", {}, `${count(all)} ${all === 1 ? "edge" : "edges"}.${listed}${inPicture} `, ...known));
  byId("explain").disabled = false;
  showPicture();
  showEffects();
  const explained = shown.effects !== null;
  const typed = edges.some(({ type }) => type !== undefined);
  const heads = ["Node", "Edge", ...(typed ? ["Type"] : []), "Weight", "Predicted", "Known label", ...(explained ? ["Edge gives", "Label gives", "Features give"] : []), "Try"];
  const gives = (kind, node, type) => {
    const found = change(kind, node, type);
    return found === undefined ? "–" : points(-found);
  };
  const rows = edges.map((edge, index) => {
    const { node, direction, type, weight } = edge;
    const answer = shown.answers.get(node);
    const effects = explained ? [direction === "out" ? "–" : gives("edge", node, type), gives("label", node), gives("features", node)] : [];
    const away = triesRemoval(shown.node, edge);
    return [
      nodeButton(node),
      WAYS[direction],
      ...(typed ? [outside(type ?? "")] : []),
      String(+weight.toPrecision(4)),
      answer ? html("span", {}, outside(answer.label), ` ${percent(answer.probabilities[answer.label])}`) : "–",
      edge.label === undefined ? "–" : outside(edge.label),
      ...effects,
      html("button", { type: "button", class: "plain", "data-edge": index, "aria-pressed": away ? "true" : "false" }, away ? "Put back" : "Take away"),
    ];
  });
  show(byId("edges"), ...(rows.length ? [table(heads, rows)] : [html("p", { class: "quiet" }, "It has no edge: its features alone decide.")]));
}

function showPicture() {
  const box = byId("picture");
  drawnWidth = box.clientWidth;
  const parts = shown.edges.slice(0, DRAWN).map((edge) => {
    const gives = edge.direction === "out" ? undefined : change("edge", edge.node, edge.type);
    const size = shown.effects ? Math.abs(gives ?? 0) : edge.weight;
    return { ...edge, gives, size, answer: shown.answers.get(edge.node), away: triesRemoval(shown.node, edge) };
  });
  show(box, ...(parts.length ? [drawn({ node: shown.node, label: shown.label, answer: shown.answer }, parts, drawnWidth, classes), legend()] : []));
}

function legend() {
  const signs = shown.effects ? ["An edge that speaks for the label is drawn in full, one that speaks against it in dashes, the wider the more."] : ["The wider an edge, the greater its weight."];
  return html("p", { class: "quiet" }, `${signs.join(" ")} ${MARKED_AS}`);
}

function showEffects() {
  const found = shown.effects;
  if (!found) {
    show(byId("effects"));
    return;
  }
  const own = [
    ["its own features", change("features", shown.node)],
    ["its own label", change("label", shown.node)],
  ].filter(([, effect]) => effect !== undefined);
  const parts = own.map(([name, effect]) => `${name} ${points(-effect)}`).join(", ");
  show(
    byId("effects"),
    html("p", {}, "What gives ", outside(found.label), ` its ${percent(found.probability)}: each figure is by how much the probability would be lower without that one thing. ${parts ? `Of the node itself: ${parts}. ` : ""}All edges, its label and its features together: ${points(-found.total)}; ${points(-found.interaction)} of that belong to no single thing.`),
    ...(found.count > EFFECTS ? [html("p", { class: "quiet" }, `${count(found.count)} things were taken away; the ${count(EFFECTS)} of the largest change are shown.`)] : []),
  );
}

function takeAway(index) {
  toggle(shown.node, shown.edges[index]);
  showEdges();
  showTried(null);
}
