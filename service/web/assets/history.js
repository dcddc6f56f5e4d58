const LONGEST_PAUSE_MS = 60000;

/** What the service has kept, and what the page has seen since: bounded, and always reaching back to the first sample.
 *
 * When full, every second sample goes and samples are kept half as often.
 */
export class History {
  constructor(limit = 1200) {
    this.limit = limit;
    this.samples = [];
    this.spacing = 0;
  }

  /** Begin with samples from before `now`; where the worker was away for long, there is a gap. */
  begin(past, now) {
    const samples = past.flatMap((sample, index) => {
      const pause = (past[index + 1]?.time ?? now) - sample.time;
      const usual = index ? sample.time - past[index - 1].time : pause;
      const gap = pause > LONGEST_PAUSE_MS && pause > 4 * usual;
      return gap ? [sample, { time: sample.time + 1, served: {}, students: {}, losses: {} }] : [sample];
    });
    this.samples = [...samples, ...this.samples];
  }

  /** Add `{time, ...}`, time in milliseconds. Samples that come too soon replace the newest. */
  add(sample) {
    const { samples } = this;
    if (samples.length > 1 && sample.time - samples.at(-2).time < this.spacing) samples.pop();
    samples.push(sample);
    if (samples.length <= this.limit) return;
    this.samples = samples.filter((_, index) => index % 2 === 0 || index === samples.length - 1);
    this.spacing = (1.9 * (sample.time - this.samples[0].time)) / samples.length;
  }

  /** Points `[time, value]` of one series; `pick` returns undefined or null where there is a gap. */
  series(pick) {
    return this.samples.map((sample) => [sample.time, pick(sample) ?? null]);
  }
}
