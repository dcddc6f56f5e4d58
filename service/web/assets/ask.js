// "Ask for a node": one GET /predict/{node}, shown as bars.

import { byId, html, outside } from "./dom.js";
import { count, percent } from "./format.js";
import { ask as askApi, askForKey } from "./key.js";

const SHOWN = 10;

export function listen() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(byId("node").value);
  });
}

async function ask(node) {
  const answer = byId("answer");
  if (node === "." || node === "..") {
    answer.replaceChildren(problem("A browser takes this id for a folder. Ask with POST /predict."));
    return;
  }
  try {
    const { response, key } = await askApi(`predict/${encodeURIComponent(node)}`, { signal: AbortSignal.timeout(10000) });
    const body = await response.json();
    if (key !== "ok") askForKey();
    answer.replaceChildren(...(response.ok ? prediction(body) : [problem(body.detail ?? body.title ?? `The API answered ${response.status}.`)]));
  } catch (error) {
    answer.replaceChildren(problem(`No answer: ${error.message}.`));
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
