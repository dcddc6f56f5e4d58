/** What the page has seen so far: bounded, and always reaching back to when it was opened.
 *
 * When full, every second sample goes and samples are kept half as often.
 */
export class History {
  constructor(limit = 1200) {
    this.limit = limit;
    this.samples = [];
    this.spacing = 0;
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
