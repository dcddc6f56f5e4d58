const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const NONE = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** A rate with one digit after the point below 100; `< 0.1` for what would read as none. */
export const rate = (value) => {
  if (!known(value)) return NONE;
  if (value > 0 && value < 0.05) return "< 0.1";
  return (value >= 99.95 ? whole : one).format(value);
};

/** A share in percent. Only 0 reads as `0.0 %` and only 1 as `100.0 %`; what is near them reads `< 0.1 %` and `> 99.9 %`. */
export const percent = (share) => {
  if (!known(share)) return NONE;
  const text = (100 * share).toFixed(1);
  if (share > 0 && text === "0.0") return "< 0.1 %";
  if (share < 1 && text === "100.0") return "> 99.9 %";
  return `${text} %`;
};

export const loss = (value) => (known(value) ? (Math.abs(value) >= 0.001 || value === 0 ? value.toFixed(3) : value.toExponential(1)) : NONE);

/** Seconds in the usual units: `4 s`, `3 min`, `2 h 5 min`. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

const DAY_MS = 86400000;

/** Wall-clock time of `ms`, in the reader's own time zone; with the date where that is a day ago or more. */
export const clock = (ms, seconds = true) => {
  const time = { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined };
  if (Date.now() - ms < DAY_MS) return new Date(ms).toLocaleTimeString("en-GB", time);
  return new Date(ms).toLocaleString("en-GB", { day: "numeric", month: "short", ...time, second: undefined });
};

const UNITS = ["bytes", "kB", "MB", "GB"];

/** A size in decimal units: `512 bytes`, `1.3 MB`. */
export function bytes(size) {
  if (!known(size)) return NONE;
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(size, 1)) / 3)));
  return `${(power ? one : whole).format(size / 1000 ** power)} ${UNITS[power]}`;
}

/** A change of a share in percentage points, with its sign: `+21.0 points`. What is near 0 has none. */
export function points(change) {
  if (!known(change)) return NONE;
  const text = Math.abs(100 * change).toFixed(1);
  if (text === "0.0") return change === 0 ? "0.0 points" : "< 0.1 points";
  return `${change > 0 ? "+" : "−"}${text} points`;
}
