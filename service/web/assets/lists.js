// Lists of nodes to work through, and the events that could not be applied.

import { byId, html, outside, show, table } from "./dom.js";
import { count, percent } from "./format.js";
import { request } from "./request.js";

const LISTED = 15;
const REJECTED_SHOWN = 8;
const NOTHING = {
  disagreement: "No node without a label.",
  changed: "No node has changed since the worker started, or all of them have a known label.",
  arrived: "No node without a label.",
  top: "No node without a label.",
};

let classes = [];
let rejectedSeen = null;

/** `open` shows a node. */
export function listen(open) {
  byId("list-form").addEventListener("submit", (event) => {
    event.preventDefault();
    load();
  });
  byId("list-order").addEventListener("change", showClassChoice);
  byId("list").addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-node]");
    if (button) open(decodeURIComponent(button.dataset.node));
  });
  showClassChoice();
}

function showClassChoice() {
  byId("list-class-box").hidden = byId("list-order").value !== "top";
}

/** Classes that can be chosen. */
export function offerClasses(names) {
  if (names.length === classes.length && names.every((name, index) => name === classes[index])) return;
  classes = names;
  const chosen = byId("list-class").value;
  byId("list-class").replaceChildren(...names.map((name, index) => html("option", { value: index, selected: String(index) === chosen }, name)));
}

async function load() {
  const order = byId("list-order").value;
  const more = `limit=${LISTED}&labelled=${byId("list-labelled").checked}`;
  const name = classes[byId("list-class").value];
  const box = byId("list");
  if (order === "top" && name === undefined) {
    show(box, html("p", { class: "quiet" }, "No class is known yet."));
    return;
  }
  const path = order === "top" ? `top/${encodeURIComponent(name)}?${more}` : `nodes?order=${order}&${more}`;
  try {
    showList(await request(path), order, name);
  } catch (error) {
    show(box, html("p", { class: "notice" }, error.message));
  }
}

function showList({ nodes, position, model_version: version }, order, name) {
  const box = byId("list");
  if (!nodes.length) {
    show(box, html("p", { class: "quiet" }, NOTHING[order]));
    return;
  }
  const share = order === "top" ? "Probability of the class" : "Probability of the label";
  const rows = nodes.map(({ node, label, probability, disagreement }) => [nodeButton(node), outside(label), percent(probability), percent(disagreement)]);
  const of = order === "top" ? [" for ", outside(name)] : [];
  show(box, table(["Node", "Label", share, "Disagreement"], rows), html("p", { class: "quiet" }, "As they were", ...of, ` at position ${position}, by version ${version}.`));
}

/** A node's id as a button that opens it. */
export const nodeButton = (node) => html("button", { type: "button", class: "link", "data-node": encodeURIComponent(node) }, outside(node));

/** Read the last rejected events again where there are others than before. */
export async function showRejected(rejectedEvents) {
  if (rejectedEvents === undefined || rejectedEvents === rejectedSeen) return;
  rejectedSeen = rejectedEvents;
  const box = byId("rejected");
  try {
    const { rejected } = await request(`events/rejected?limit=${REJECTED_SHOWN}`);
    byId("rejected-now").textContent = `${count(rejectedEvents)} in all`;
    const rows = rejected.map(({ position, index, op, reason, detail }) => [
      html("span", { class: "mono" }, position),
      index < 0 ? "the whole batch" : count(index),
      op.replace("_", " "),
      reason.replaceAll("-", " "),
      outside(detail),
    ]);
    show(box, rows.length ? table(["Batch at", "Place", "Event", "Kind", "Why"], rows, { columnClass: { Why: "reason" } }) : html("p", { class: "quiet" }, "None is kept: every accepted event could be applied, or the rejected ones are too old."));
  } catch (error) {
    rejectedSeen = null;
    show(box, html("p", { class: "notice" }, error.message));
  }
}
