// The predictions at arrival class by class, and the lead figure: the score on the metric that decides.

import { byId, html, outside, show, table } from "./dom.js";
import { count, loss, percent } from "./format.js";

const CONFUSED_SHOWN = 10;
const WORDS = { accuracy: "accuracy", macro_f1: "macro-F1", log_loss: "log-loss" };
const OF_CLASS = "average_precision:";

/** The metric of a lead figure in words, as text and elements. */
export const metricWords = ({ metric }) => (metric.startsWith(OF_CLASS) ? html("span", {}, "average precision of ", outside(metric.slice(OF_CLASS.length))) : outside(WORDS[metric] ?? metric));

/** A value on the metric of a lead figure. */
export const leadValue = (lead, value) => (lead.metric === "log_loss" ? loss(value) : percent(value));

const HEADS = ["Class", "Nodes", "Predicted", "Precision", "Recall", "F1", "Average precision"];

export function showClasses(report) {
  const title = byId("confusion-title");
  if (!report?.classes.length) {
    byId("classes-now").textContent = "";
    show(byId("classes"), html("p", { class: "quiet" }, "No class yet: a node is scored when its label comes after its prediction."));
    title.hidden = true;
    show(byId("confusion"));
    return;
  }
  show(byId("classes-now"), "always ", outside(report.commonest ?? "–"), `: ${percent(report.commonest_accuracy)} right`);
  const rows = report.classes.map(({ name, support, predicted, whole }) => [
    outside(name),
    count(support),
    count(predicted),
    percent(whole.precision),
    percent(whole.recall),
    percent(whole.f1),
    percent(whole.average_precision),
  ]);
  const more = report.unlisted ? [html("p", { class: "quiet" }, `${count(report.unlisted)} more classes, each of fewer nodes`)] : [];
  show(byId("classes"), table(HEADS, rows), ...more);
  const matrix = confusion(report.confusion);
  title.hidden = !matrix;
  show(byId("confusion"), ...(matrix ? [matrix] : []));
}

/** The matrix of the greatest classes, the others together; null where there is none. */
function confusion(found) {
  if (!found?.counts.length) return null;
  const shown = Math.min(CONFUSED_SHOWN, found.classes.length);
  const others = found.counts.length > shown;
  const names = [...found.classes.slice(0, shown).map(outside), ...(others ? ["others"] : [])];
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const folded = (row) => [...row.slice(0, shown), ...(others ? [sum(row.slice(shown))] : [])];
  const counts = found.counts.map(folded);
  const last = names.map((_, column) => sum(counts.slice(shown).map((row) => row[column])));
  const rows = [...counts.slice(0, shown), ...(others ? [last] : [])];
  const head = html("tr", {}, html("th", { scope: "col" }, "true class"), names.map((name) => html("th", { scope: "col" }, typeof name === "string" ? name : name.cloneNode(true))));
  const body = rows.map((row, index) => html("tr", {}, html("th", { scope: "row" }, names[index]), row.map((value, column) => html("td", { class: index === column ? "right" : null }, count(value)))));
  return html("table", { class: "data" }, html("thead", {}, head), html("tbody", {}, body));
}
