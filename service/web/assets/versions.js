// The last versions: what each is, its model card, and pin, unpin and rollback where the key allows them.

import { confirmed, sheet } from "./dialog.js";
import { byId, html, outside, show, table } from "./dom.js";
import { bytes, count, loss, percent } from "./format.js";
import { request } from "./request.js";

const WHY = {
  first: "the first",
  due: "1,000 training steps",
  "better-student": "another student was better",
  "new-students": "new students",
  "new-classes": "new classes",
  drift: "a drift",
  unpinned: "a pin was taken off",
};
const HEADS = ["Version", "Student", "Made because of", "At event", "Scored", "Accuracy", "Log-loss", "Actions"];

const NO_VERSION = { versions: [], served: null, pinned: null, rolled_back: false, rollback_to: null };

let mayChange = false;
let changed = () => {};
let known = NO_VERSION;

/** `after` is called when something was changed. */
export function listen(after) {
  changed = after;
  byId("versions-panel").addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-do]");
    if (button) ACTIONS[button.dataset.do](Number(button.dataset.version));
  });
}

/** Take over what the key allows. */
export function allow(scopes) {
  mayChange = scopes.includes("admin");
  byId("versions-may").textContent = mayChange ? "" : "This key may read versions. To pin one or to roll back, sign in with a key that has the scope admin.";
  showVersions(known);
}

/** Show the versions as `GET /status` has them; none without a report. */
export function showVersions(found) {
  known = found ?? NO_VERSION;
  const { versions, served, pinned, rolled_back: rolledBack, rollback_to: target } = known;
  const box = byId("versions");
  const choice = pinned === null ? "no version is pinned" : `version ${pinned} is pinned${rolledBack ? " by a rollback" : ""}`;
  byId("versions-now").textContent = served === null ? "" : choice;
  const general = [];
  if (pinned !== null) general.push(action("unpin", pinned, "Unpin"));
  if (target !== null) general.push(action("rollback", target, `Roll back to version ${target}`));
  show(byId("versions-actions"), ...(mayChange ? general : []));
  if (!versions.length) {
    show(box, html("p", { class: "quiet" }, "No version yet: the first one is made some training steps after the first labels."));
    return;
  }
  const rows = versions.map((each) => [
    html("span", {}, String(each.version), ...(each.version === served ? [" ", badge("served")] : []), ...(each.version === pinned ? [" ", badge("pinned")] : [])),
    outside(each.student),
    WHY[each.reason] ?? each.reason,
    html("span", { title: `position ${each.created_position}` }, count(each.applied_events)),
    count(each.score.scored),
    percent(each.score.accuracy),
    loss(each.score.log_loss),
    html("span", { class: "actions" }, action("card", each.version, "Model card"), mayChange && each.version !== pinned ? action("pin", each.version, "Pin") : null),
  ]);
  show(box, table(HEADS, rows, { rowClass: (row) => (versions[row].version === served ? "served" : null) }));
}

const badge = (text) => html("span", { class: "badge" }, text);

const action = (name, version, text) => html("button", { type: "button", class: "plain", "data-do": name, "data-version": version, "aria-label": text.match(/\d/) ? null : `${text}: version ${version}` }, text);

const ACTIONS = {
  card: async (version) => {
    const card = await asked(`versions/${version}`);
    if (card) sheet(`Version ${version}`, ...cardOf(card));
  },
  pin: (version) => change("Pin this version?", `Version ${version} is computed on the graph as it is now and then served to all readers, whatever is learned. Training goes on. It can be unpinned.`, "Pin", "versions/pinned", { method: "PUT", body: { version } }),
  unpin: (version) => change("Unpin?", `Version ${version} is served until the next version is made. That one is of the student or the group that is the best then.`, "Unpin", "versions/pinned", { method: "DELETE" }),
  rollback: (version) => change("Roll back?", `Version ${version}, from before the last switch of student, is pinned: it is served to all readers until it is unpinned.`, "Roll back", "versions/rollback", { method: "POST" }),
};

async function change(title, text, name, path, options) {
  if (!(await confirmed(title, text, name))) return;
  const done = await asked(path, options);
  if (!done) return;
  report(`The change is in the log at position ${done.position}. It is served some moments later.`);
  changed();
}

async function asked(path, options) {
  report("");
  try {
    return await request(path, options);
  } catch (error) {
    report(error.message);
    return null;
  }
}

const report = (text) => show(byId("versions-done"), text);

function cardOf({ graph, pinned, version: it, configuration }) {
  const facts = [
    ["Student", outside(it.student)],
    ["Members", it.members.flatMap(({ name, architecture }, index) => [index ? ", " : "", outside(name), " (", outside(architecture), ")"])],
    ["Made because of", WHY[it.reason] ?? it.reason],
    ["Training steps", `${count(it.step)}, refined ${count(it.refined)} times`],
    ["Served", `from ${it.served_from} until ${it.served_until ?? "now"}${pinned ? ", pinned" : ""}`],
    ["Graph", [outside(graph), ` with ${count(it.nodes)} nodes, ${count(it.labelled)} of them labelled, and ${count(it.edges)} edges`]],
    ["Size", `${count(it.parameters)} parameters, ${bytes(it.bytes)}`],
    ["Temperature", it.temperature === null ? "of each member" : it.temperature.toFixed(2)],
    ["Scored", `${count(it.score.scored)} nodes while it was served, ${count(it.drifts)} drifts`],
    ["Scores", `accuracy ${percent(it.score.accuracy)}, macro-F1 ${percent(it.score.macro_f1)}, log-loss ${loss(it.score.log_loss)}, calibration error ${percent(it.score.calibration_error)}`],
    ...(configuration ? [["Release", `${configuration.release}, seed ${configuration.seed}`]] : []),
  ];
  const classes = it.by_class.map(({ name, support, precision, recall, f1 }) => [outside(name), count(support), percent(precision), percent(recall), percent(f1)]);
  return [
    html("dl", { class: "facts" }, facts.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)])),
    ...(classes.length ? [table(["Class", "Nodes", "Precision", "Recall", "F1"], classes)] : []),
  ];
}
