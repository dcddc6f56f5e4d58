// What if: events that are tried and not applied, with the answer beside the present one.

import { byId, html, outside, show, table } from "./dom.js";
import { percent, points } from "./format.js";
import { request } from "./request.js";

const SHOWN = 10;

/** `current` gives the node that is shown, `changed` is called when other events are tried. */
export function listen(current, changed) {
  byId("trial").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(current());
  });
  byId("events").addEventListener("input", () => {
    showTried(null);
    if (current()?.edges) changed();
  });
}

/** Nothing is tried yet. */
export function begin() {
  byId("events").value = "";
  showTried(null);
}

/** The event that takes an edge of a node away. */
function removal(node, { node: other, direction, type }) {
  const [src, dst] = direction === "out" ? [node, other] : [other, node];
  return { op: "remove_edge", src, dst, ...(type === undefined ? {} : { type }) };
}

/** The events as they are written; null where they are no list. */
function written() {
  const text = byId("events").value.trim();
  if (!text) return [];
  try {
    const events = JSON.parse(text);
    return Array.isArray(events) ? events : null;
  } catch {
    return null;
  }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Whether the removal of an edge is among the events. */
export const triesRemoval = (node, edge) => (written() ?? []).some((event) => same(event, removal(node, edge)));

/** Add the removal of an edge to the events, or take it out. */
export function toggle(node, edge) {
  const wanted = removal(node, edge);
  const events = written() ?? [];
  const others = events.filter((event) => !same(event, wanted));
  const now = others.length < events.length ? others : [...events, wanted];
  byId("events").value = now.length ? `[${now.map((event) => JSON.stringify(event)).join(",\n ")}]` : "";
}

async function ask(shown) {
  const events = written();
  const box = byId("tried");
  if (!events?.length) {
    show(box, html("p", { class: "notice" }, events ? "There is no event to try: take an edge away, or write one." : "The events are not a JSON array."));
    return;
  }
  show(box, html("p", { class: "quiet" }, "Computing."));
  try {
    showTried(await request("what-if", { method: "POST", body: { events, nodes: [shown.node] } }), shown.answer);
  } catch (error) {
    show(box, html("p", { class: "notice" }, error.message));
  }
}

/** The answer beside the present one; nothing without an answer. */
export function showTried(found, now) {
  const box = byId("tried");
  if (!found) {
    show(box);
    return;
  }
  const [then] = found.predictions;
  const rejected = found.rejected.map(({ index, reason, detail }) => html("li", {}, `Event ${index} would be rejected (${reason}): `, outside(detail)));
  const list = rejected.length ? [html("ul", { class: "notice" }, rejected)] : [];
  if (then.label === null) {
    show(box, html("p", {}, "The node would not be in the graph."), ...list);
    return;
  }
  const names = [...new Set([...Object.keys(now.probabilities), ...Object.keys(then.probabilities)])];
  const share = (answer, name) => answer.probabilities[name] ?? null;
  names.sort((a, b) => Math.max(share(now, b) ?? 0, share(then, b) ?? 0) - Math.max(share(now, a) ?? 0, share(then, a) ?? 0));
  const rows = names.slice(0, SHOWN).map((name) => {
    const [before, after] = [share(now, name), share(then, name)];
    return [outside(name), bar(before), bar(after), before === null || after === null ? "–" : points(after - before)];
  });
  const head = then.label === now.label ? html("p", { class: "label" }, "The label would stay ", outside(now.label)) : html("p", { class: "label" }, outside(now.label), " would become ", outside(then.label));
  show(box, head, table(["Class", "Now", "Then", "Change"], rows), ...list, html("p", { class: "quiet" }, `Nothing was applied. Tried after position ${found.position}, by version ${found.model_version}.`));
}

const bar = (share) => html("span", { class: "bar" }, html("span", { class: "track", "aria-hidden": "true" }, html("span", { style: { width: `${100 * (share ?? 0)}%` } })), html("span", {}, percent(share)));
