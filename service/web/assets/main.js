// Asks /status and /students again and again, remembers the answers and shows them.

import { listen } from "./ask.js";
import { LineChart, sample } from "./chart.js";
import { byId, html } from "./dom.js";
import { clock, count, percent } from "./format.js";
import { History } from "./history.js";
import { ask, listen as listenForKey } from "./key.js";
import { SERVED_STYLE, showDecisions, showRefused, showState, showStudents, showTiles, showTraining, showUnreachable, studentStyle } from "./view.js";

const EVERY_MS = 2000;
const TIMEOUT_MS = 8000;

const history = new History();
const hidden = new Set();
const accuracyChart = new LineChart(byId("accuracy-chart"));
const lagChart = new LineChart(byId("lag-chart"));
let names = [];
let lastAnswer = Date.now();
let due = 0;

class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.needsKey = status === 401 || status === 403;
  }
}

async function get(path) {
  const response = await ask(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Refused(`${body.title ?? "Error"} (${response.status} from /${path}). ${body.detail ?? ""}`, response.status);
  }
  return response.json();
}

function turnIn(ms) {
  clearTimeout(due);
  due = setTimeout(turn, ms);
}

async function turn() {
  let waitsForKey = false;
  try {
    const [status, { students, decisions }] = await Promise.all([get("status"), get("students")]);
    lastAnswer = Date.now();
    remember(status, students);
    show(status, students, decisions);
  } catch (error) {
    waitsForKey = error instanceof Refused && error.needsKey;
    history.add({ time: Date.now(), served: {}, students: {}, losses: {} });
    document.body.classList.add("old");
    document.title = "no numbers · olad";
    if (error instanceof Refused) showRefused(error.message, clock(lastAnswer));
    else showUnreachable(error.message, clock(lastAnswer));
    showCharts();
  }
  // Asking again without another key would only be refused again, and be a line of the audit log each time.
  if (!waitsForKey) turnIn(EVERY_MS);
}

function remember({ worker, log }, students) {
  names = students.map(({ name }) => name);
  history.add({
    time: lastAnswer,
    lag: log.behind_events,
    served: worker?.served_score ?? {},
    students: Object.fromEntries(students.map(({ name, score }) => [name, score])),
    losses: worker?.learning.losses ?? {},
  });
}

function show(status, students, decisions) {
  document.body.classList.remove("old");
  document.title = `${percent(status.worker?.served_score.accuracy_recent)} · olad`;
  showState(status);
  showTiles(status);
  showStudents(students);
  showDecisions(decisions);
  showTraining(status.worker, history);
  byId("lag-now").textContent = `${count(status.log.behind_events)} now`;
  byId("since").textContent = `Seen by this page since ${clock(history.samples[0].time)}.`;
  showCharts();
}

function showCharts() {
  const field = document.querySelector("input[name=window]:checked").value;
  const lines = [
    ...names.map((name, index) => ({ ...studentStyle(index), name, points: history.series((past) => past.students[name]?.[field]) })),
    { ...SERVED_STYLE, name: "served", points: history.series((past) => past.served[field]) },
  ];
  const latest = lines.map(({ name, points }) => `${name} ${percent(points.at(-1)?.[1])}`).join(", ");
  accuracyChart.draw(lines.filter(({ name }) => !hidden.has(name)), {
    format: (share) => `${+(100 * share).toFixed(1)} %`,
    exact: percent,
    empty: "No score yet: a node is scored when its label comes after its prediction.",
    label: `Prequential ${field.startsWith("macro") ? "macro-F1" : "accuracy"} over time; now ${latest}`,
    smallest: 0.01,
    floor: 0,
    ceiling: 1,
  });
  showLegend(lines);
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

function showLegend(lines) {
  const legend = byId("accuracy-legend");
  const wanted = lines.map(({ name }) => name).join("\n");
  if (legend.dataset.names === wanted) return;
  legend.dataset.names = wanted;
  legend.replaceChildren(...[lines.at(-1), ...lines.slice(0, -1)].map((line) => html("button", { type: "button", "aria-pressed": !hidden.has(line.name) ? "true" : "false", title: "Show or hide", onclick: (event) => toggle(line.name, event.currentTarget) }, sample(line), line.name)));
}

function toggle(name, button) {
  if (!hidden.delete(name)) hidden.add(name);
  button.setAttribute("aria-pressed", hidden.has(name) ? "false" : "true");
  showCharts();
}

document.querySelectorAll("input[name=window]").forEach((input) => input.addEventListener("change", showCharts));
listen();
listenForKey(() => turnIn(0));
turn();
