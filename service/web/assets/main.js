// Asks /status, /students and /variants again and again, remembers the answers and shows them.

import { LineChart, markSample, sample } from "./chart.js";
import { leadValue, showClasses } from "./classes.js";
import { byId, html, outside, show as fill } from "./dom.js";
import { clock, count, percent } from "./format.js";
import { History } from "./history.js";
import { ask, askForKey, listen as listenForKey } from "./key.js";
import { listen as listenForLists, offerClasses, showRejected } from "./lists.js";
import { Decisions, marksOf } from "./marks.js";
import { listen as listenForNode, nameClasses, open } from "./node.js";
import { allow as allowPromotion, listen as listenForVariants, showVariants } from "./variants.js";
import { allow as allowVersions, listen as listenForVersions, showVersions } from "./versions.js";
import { SERVED_STYLE, showDecisions, showRefused, showSignIn, showState, showStudents, showTiles, showTraining, showUnreachable, showWeakKey, showWrongKey, studentStyle } from "./view.js";

const EVERY_MS = 2000;
const TIMEOUT_MS = 8000;

const history = new History();
const hidden = new Set();
const accuracyChart = new LineChart(byId("accuracy-chart"));
const lagChart = new LineChart(byId("lag-chart"));
let names = [];
let lastAnswer = Date.now();
let due = 0;

let begun = false;
let keyKnown = false;
const decided = new Decisions();

const MARK_WORDS = [
  ["drift", "drift"],
  ["decision", "switch of student, new students or new classes"],
  ["version", "another version"],
  ["labels", "labels came"],
];

const KEY_NOTICES = { none: showSignIn, wrong: showWrongKey, weak: showWeakKey };

class Refused extends Error {
  constructor(message, key) {
    super(message);
    this.keyNotice = KEY_NOTICES[key];
  }
}

class Unreachable extends Error {}

async function get(path) {
  const { response, key } = await ask(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(unreachable);
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Refused(`${body.title ?? "Error"} (${response.status} from /${path}). ${body.detail ?? ""}`, key);
  }
  return response.json().catch(unreachable);
}

function unreachable(error) {
  throw new Unreachable(error.message);
}

function turnIn(ms) {
  clearTimeout(due);
  due = setTimeout(turn, ms);
}

async function turn() {
  // Asking again without another key would only be refused again, and be a line of the audit log each time.
  let mayAsk = true;
  try {
    // One after the other: where the first is refused for its key, the second would be too.
    const answers = [await get("status"), await get("students"), await get("variants")];
    if (!keyKnown) allow((await get("key")).scopes);
    keyKnown = true;
    if (!begun) await begin();
    lastAnswer = Date.now();
    remember(...answers);
    show(...answers);
    // It has a place of its own for what goes wrong.
    showRejected(answers[0].worker?.rejected_events);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    mayAsk = !error.keyNotice;
    showFailure(error);
  } finally {
    if (mayAsk) turnIn(EVERY_MS);
  }
}

/** What the service kept from before the page was opened. Without it the charts begin now. */
async function begin() {
  const { samples, decisions } = await get("history?points=400").catch((error) => {
    if (error instanceof Unreachable) throw error;
    return { samples: [], decisions: [] };
  });
  begun = true;
  const before = samples.filter(({ time }) => 1000 * time < Date.now());
  history.begin(before.map(({ time, behind_events: lag, version, served, students, losses }) => ({ time: 1000 * time, lag, version, served, students, losses })), Date.now());
  decided.begin(decisions);
}

function showFailure(error) {
  history.add({ time: Date.now(), served: {}, students: {}, losses: {} });
  document.body.classList.add("old");
  document.title = "no numbers · olad";
  if (error.keyNotice) {
    askForKey();
    error.keyNotice();
  } else if (error instanceof Refused) showRefused(error.message, clock(lastAnswer));
  else showUnreachable(error.message, clock(lastAnswer));
  showCharts();
}

function remember({ worker, log }, { students, decisions }) {
  names = students.map(({ name }) => name);
  decided.follow(decisions, lastAnswer);
  history.add({
    time: lastAnswer,
    lag: log.behind_events,
    version: worker?.served?.version,
    served: worker?.served_score ?? {},
    students: Object.fromEntries(students.map(({ name, score }) => [name, score])),
    losses: worker?.learning.losses ?? {},
  });
}

function allow(scopes) {
  allowVersions(scopes);
  allowPromotion(scopes);
}

function show(status, { students, combined, decisions }, variants) {
  document.body.classList.toggle("old", status.worker !== null && !status.heartbeat);
  const lead = status.worker?.lead;
  document.title = `${lead ? leadValue(lead, lead.recent) : percent(status.worker?.served_score.accuracy_recent)} · olad`;
  showState(status);
  showTiles(status);
  showStudents(students, combined);
  showClasses(status.worker?.served_report);
  showDecisions(decisions);
  showVersions(status.worker?.kept);
  showVariants(variants, status.graph);
  nameClasses(status.worker?.graph.classes ?? []);
  offerClasses(status.worker?.graph.classes ?? []);
  showTraining(status.worker, history);
  byId("lag-now").textContent = `${count(status.log.behind_events)} now`;
  byId("since").textContent = `Since ${clock(history.samples[0].time)}.`;
  showCharts();
}

function showCharts() {
  const field = document.querySelector("input[name=window]:checked").value;
  const lines = [
    ...names.map((name, index) => ({ ...studentStyle(index), name, points: history.series((past) => past.students[name]?.[field]) })),
    { ...SERVED_STYLE, name: "served", points: history.series((past) => past.served[field]) },
  ];
  const marks = [...decided.marks, ...marksOf(history.samples)];
  const latest = lines.map(({ name, points }) => `${name} ${percent(points.at(-1)?.[1])}`).join(", ");
  accuracyChart.draw(lines.filter(({ name }) => !hidden.has(name)), {
    format: (share) => `${+(100 * share).toFixed(1)} %`,
    exact: percent,
    empty: "No score yet: a node is scored when its label comes after its prediction.",
    label: `Prequential ${field.startsWith("macro") ? "macro-F1" : "accuracy"} over time; now ${latest}`,
    smallest: 0.01,
    floor: 0,
    ceiling: 1,
    marks,
  });
  showLegend(lines);
  const kinds = new Set(marks.map(({ kind }) => kind));
  fill(byId("accuracy-marks"), ...MARK_WORDS.filter(([kind]) => kinds.has(kind)).map(([kind, words]) => html("span", {}, markSample(kind), words)));
  const lag = history.series((past) => past.lag);
  lagChart.draw([{ name: "behind", color: "var(--series-1)", dash: "", points: lag, area: true }], {
    format: count,
    empty: "Nothing known yet.",
    label: `Lag in events over time; now ${count(lag.at(-1)?.[1])}`,
    smallest: 1,
    floor: 0,
    zero: true,
  });
}

/** Show a node of a list, where the reader sees it. */
function openFrom(node) {
  byId("node-title").scrollIntoView();
  byId("node").focus({ preventScroll: true });
  open(node);
}

function showLegend(lines) {
  const legend = byId("accuracy-legend");
  const wanted = lines.map(({ name }) => name).join("\n");
  if (legend.dataset.names === wanted) return;
  legend.dataset.names = wanted;
  legend.replaceChildren(...[lines.at(-1), ...lines.slice(0, -1)].map((line) => html("button", { type: "button", "aria-pressed": !hidden.has(line.name) ? "true" : "false", title: "Show or hide", onclick: (event) => toggle(line.name, event.currentTarget) }, sample(line), outside(line.name))));
}

function toggle(name, button) {
  if (!hidden.delete(name)) hidden.add(name);
  button.setAttribute("aria-pressed", hidden.has(name) ? "false" : "true");
  showCharts();
}

document.querySelectorAll("input[name=window]").forEach((input) => input.addEventListener("change", showCharts));
listenForNode();
listenForLists(openFrom);
listenForVersions(() => turnIn(0));
listenForVariants(() => turnIn(0));
listenForKey(() => {
  keyKnown = false;
  turnIn(0);
});
turn();
