// What the page shows of one answer of /status and /students.

import { DASHES, sample, sparkline } from "./chart.js";
import { leadValue, metricWords } from "./classes.js";
import { byId, html, outside, show, table, visible } from "./dom.js";
import { count, duration, loss, percent, rate } from "./format.js";

const LOSS_NAMES = {
  supervised: "supervised: cross entropy on labels",
  global: "global: KL to the group",
  local: "local: fooling the next discriminator",
  discriminator: "discriminators",
};

const DECISIONS_SHOWN = 8;

/** Line style of the student at `index` in the group. */
export const studentStyle = (index) => ({ color: `var(--series-${(index % 8) + 1})`, dash: DASHES[(index + 1) % DASHES.length] });
export const SERVED_STYLE = { color: "var(--ink)", dash: "", width: 3 };

const tile = (name, value, more, { long = false, lead = false } = {}) =>
  html("div", { class: lead ? "tile lead" : "tile" }, html("dt", {}, name), html("dd", { class: long ? "value long mono" : "value" }, value), html("dd", { class: "more" }, more));

/** Accuracy, and what a worker of an earlier release reports, have the tile of the accuracy alone. */
const hasOwnTile = (lead) => Boolean(lead) && lead.metric !== "accuracy";

const alwaysCommonest = (report) => (report?.commonest_accuracy == null ? "" : `always the commonest class ${percent(report.commonest_accuracy)}; `);

function leadTile(lead) {
  if (!hasOwnTile(lead)) return [];
  const beside = lead.baseline_of ? [outside(lead.baseline_of), `: ${leadValue(lead, lead.baseline)}`] : [];
  const why = lead.declared ? "" : "; the classes are unbalanced";
  return [tile(html("span", {}, "Served ", metricWords(lead), ", recent"), leadValue(lead, lead.recent), html("span", {}, `whole ${leadValue(lead, lead.value)}, `, ...beside, why), { lead: true })];
}

export function showTiles({ worker, log, graph: name, position, checkpoint_age_s: age }) {
  const { served, candidate, graph, checkpoint, served_score: score } = worker ?? {};
  const waiting = candidate ? html("span", {}, `version ${candidate.version} (`, outside(candidate.student), `) on its way: ${percent(candidate.progress)}`) : "";
  // Counted at one moment with the lag; the worker's own count is of its last report.
  const applied = log.appended_events - log.behind_events;
  show(
    byId("tiles"),
    ...leadTile(worker?.lead),
    tile("Served accuracy, recent", percent(score?.accuracy_recent), `whole ${percent(score?.accuracy)} over ${count(score?.scored)} scored; ${alwaysCommonest(worker?.served_report)}macro-F1 ${percent(score?.macro_f1_recent)}, calibration error ${percent(score?.calibration_error_recent)}`, { lead: !hasOwnTile(worker?.lead) }),
    tile("Served version", served ? html("span", {}, `${served.version} · `, outside(served.student)) : "none yet", waiting, { lead: true }),
    tile("Lag", `${count(log.behind_events)} ${log.behind_events === 1 ? "event" : "events"}`, `${count(applied)} of ${count(log.appended_events)} applied`),
    tile("Position", position ?? "none yet", log.position ? `log ends at ${log.position}` : "the log is empty", { long: true }),
    tile("Events applied", `${rate(worker?.events_per_s)} /s`, `${count(applied)} in all`),
    tile("Training steps", `${rate(worker?.steps_per_s)} /s`, `${count(worker?.learning.steps)} in all, on ${worker?.device ?? "–"}`),
    tile("Graph", `${count(graph?.nodes)} nodes`, `${count(graph?.edges)} edges, ${count(graph?.labelled)} labelled, ${count(graph?.classes.length)} classes`),
    tile(
      "Checkpoint",
      checkpoint ? `${duration(age)} old` : "none yet",
      html("span", {}, checkpoint ? `at ${checkpoint.position} · ` : "", html("a", { href: "events/rejected", "data-needs-key": true }, `${count(worker?.rejected_events)} rejected`)),
    ),
  );
  show(byId("graph-line"), "graph ", outside(name), worker ? ` · worker up ${duration(worker.updated_at - worker.started_at)}` : "");
}

/** The pill beside the title and the line above the tiles. */
export function showState({ worker, heartbeat }) {
  const missing = worker?.learning.missing ?? [];
  if (!worker) setState("warn", "No worker", "No worker has reported yet. Events are kept in the log; olad worker applies them.");
  else if (!heartbeat) setState("bad", "Worker silent", "The worker's heartbeat is gone: these are its last numbers. Events are kept in the log until it is back.");
  else if (!worker.served) setState("warn", "No model yet", `No model yet. Still missing: ${missing.join("; ") || "its first published version"}.`);
  else setState("good", "Serving", "");
}

export const showUnreachable = (why, since) =>
  setState("bad", "API unreachable", `The API has not answered since ${since}: ${why}. Asking again; the numbers below are old.`);

export const showRefused = (why, since) => setState("bad", "API in trouble", `${why.trim()} Asking again; the numbers below are from ${since}.`);

export const showSignIn = () => setState("wait", "Sign in", "This API has keys. Enter one with the scope read to see its numbers.");
export const showWrongKey = () => setState("bad", "Key refused", "The API does not accept this key: it is unknown, expired or revoked. Enter another one.");
export const showWeakKey = () => setState("bad", "Key refused", "This key lacks the scope read. Enter another one.");

function setState(state, short, long) {
  byId("state").dataset.state = state;
  byId("state-text").textContent = short;
  const notice = byId("notice");
  notice.hidden = !long;
  notice.dataset.kind = state;
  const text = visible(long);
  if (notice.textContent !== text) notice.textContent = text;
}

/** The students, and beneath them the group, its trees and its linear model where they are scored. */
export function showStudents(students, combined) {
  const box = byId("students");
  byId("students-now").textContent = students.length ? `${students.length} learning together` : "";
  if (!students.length) {
    show(box, html("p", { class: "quiet" }, "No students yet: they appear with the worker's report."));
    return;
  }
  const heads = ["Student", "Accuracy, recent", "Accuracy, whole", "Macro-F1, recent", "Log-loss, recent", "Calibration error", "Temperature", "Scored", "Served", "Architecture", "Parameters"];
  const badge = html("span", { class: "badge" }, "served");
  const since = ({ served, served_since_version: version }) => (served ? [badge.cloneNode(true), ` since version ${version ?? "–"}`] : "–");
  const rows = students.map((student, index) => {
    const name = [sample(studentStyle(index)), outside(student.name)];
    return scoredRow(name, student.score, student.temperature.toFixed(2), since(student), outside(student.architecture), count(student.parameters));
  });
  const served = students.map((student) => student.served);
  if (combined) {
    const parameters = students.reduce((sum, student) => sum + student.parameters, 0);
    rows.push(scoredRow("group", combined.score, "–", since(combined), "all members", count(parameters)));
    served.push(combined.served);
  }
  if (combined?.trees) {
    const { score, served: within, trees } = combined.trees;
    rows.push(scoredRow("trees", score, "–", within ? "within the group" : "–", "boosted trees", `${count(trees)} trees`));
    served.push(false);
  }
  if (combined?.linear) {
    const { score, served: within, columns } = combined.linear;
    rows.push(scoredRow("linear", score, "–", within ? "within the group" : "–", "linear model", `${count(columns)} columns`));
    served.push(false);
  }
  show(box, table(heads, rows, { rowClass: (row) => (served[row] ? "served" : null) }));
}

function scoredRow(name, score, temperature, served, architecture, parameters) {
  return [
    name,
    percent(score.accuracy_recent),
    percent(score.accuracy),
    percent(score.macro_f1_recent),
    loss(score.log_loss_recent),
    percent(score.calibration_error_recent),
    temperature,
    count(score.scored),
    served,
    architecture,
    parameters,
  ];
}

/** The newest decisions that are more than a further version of the same student. */
export function showDecisions(decisions) {
  const shown = decisions.filter(({ kind }) => kind !== "student-kept").slice(0, DECISIONS_SHOWN);
  if (!shown.length) {
    show(byId("decisions"), html("p", { class: "quiet" }, "None yet: the first one starts the first version, some training steps after the first labels."));
    return;
  }
  const rows = shown.map(({ kind, version, reason, position, applied_events: applied }) => [
    kind.replace("-", " "),
    version === null ? "–" : count(version),
    outside(reason),
    html("span", { title: `position ${position}` }, count(applied)),
  ]);
  show(byId("decisions"), table(["Decision", "Version", "Why", "At event"], rows, { columnClass: { Why: "reason" } }));
}

export function showTraining(worker, history) {
  const losses = Object.entries(worker?.learning.losses ?? {});
  byId("steps-now").textContent = worker ? `${count(worker.learning.steps)} steps` : "";
  if (!losses.length) {
    show(byId("losses"), html("p", { class: "quiet" }, "No training step yet: it starts with the first labels."));
    return;
  }
  const rows = losses.map(([name, value]) =>
    html("tr", {}, html("th", { scope: "row", title: LOSS_NAMES[name] ?? null }, name), html("td", {}, sparkline(history.series((past) => past.losses[name]))), html("td", {}, loss(value))),
  );
  show(byId("losses"), html("table", { class: "data" }, html("tbody", {}, rows)));
}
