// What happened, as marks on the charts: drifts, switches and new students, versions, and labels that came.

const KINDS = { drift: "Drift", "student-switched": "Student switched", "group-restarted": "New students", "classes-grown": "New classes" };

/** Decisions that were reported before the page was opened, and those that come since. */
export class Decisions {
  constructor() {
    this.marks = [];
    this.last = null;
  }

  /** Begin with what the service has kept. */
  begin(past) {
    this.add(past.map((each) => ({ ...each, time: 1000 * each.time })));
  }

  /** Those of `decisions` that are new happened now. Of the first ones it is not known when. */
  follow(decisions, now) {
    const fresh = this.last === null ? [] : decisions.filter(({ number }) => number > this.last);
    this.add(fresh.map((each) => ({ ...each, time: now })));
    this.last = Math.max(this.last ?? 0, ...decisions.map(({ number }) => number));
  }

  add(decisions) {
    for (const { time, kind, reason, number } of decisions) {
      if (kind in KINDS) this.marks.push({ time, kind: kind === "drift" ? "drift" : "decision", text: `${KINDS[kind]}: ${reason}` });
      this.last = Math.max(this.last ?? 0, number);
    }
  }
}

/** Marks of samples: where another version is served than before, and where labels have come since. */
export function marksOf(samples) {
  const marks = [];
  let before = null;
  for (const sample of samples) {
    const { time, version, served } = sample;
    if (before && version && before.version && version !== before.version) marks.push({ time, kind: "version", text: `Version ${version}` });
    const more = (served.scored ?? 0) - (before?.scored ?? served.scored ?? 0);
    if (more > 0) marks.push({ time, kind: "labels", text: `${more} ${more === 1 ? "label" : "labels"} scored` });
    before = { version: version ?? before?.version, scored: served.scored ?? before?.scored };
  }
  return marks;
}
