// How numbers are written: for reading at a glance, with their unit. What has no value is a dash, never 0.

export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const missing = (value) => value === null || value === undefined;

export const count = (value) => (missing(value) ? NONE : whole.format(value));

export const percent = (value) => (missing(value) ? NONE : `${tenths.format(100 * value)} %`);

// An interval: "67–84 %".
export const percents = (low, high) => (missing(low) || missing(high) ? NONE : `${whole.format(100 * low)}–${whole.format(100 * high)} %`);

export const score = (value) => (missing(value) ? NONE : `${value > 0 ? "+" : value < 0 ? "−" : ""}${whole.format(Math.abs(value))}`);

// Seconds in the two largest units that say something: "48 s", "4 min 12 s", "2 h 5 min", "6.3 d".
export function duration(seconds) {
  if (missing(seconds)) return NONE;
  if (seconds < 1) return `${Math.round(1000 * Math.max(0, seconds))} ms`;
  if (seconds < 10) return `${short.format(seconds)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} s`;
  if (rounded < 3600) return two(rounded, 60, "min", 1, "s");
  if (rounded < 2 * 86400) return two(Math.round(seconds / 60), 60, "h", 1, "min");
  return `${short.format(seconds / 86400)} d`;
}

function two(value, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((value % large) / small);
  return `${Math.floor(value / large)} ${largeUnit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}

export const rate = (perSecond) => (missing(perSecond) ? NONE : `${perSecond < 10 ? short.format(perSecond) : whole.format(perSecond)}/s`);

export const WINDOW_NAMES = { "5m": "5 min", "15m": "15 min", "1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d" };

export const clockTime = (ms, seconds = false) =>
  new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }), hour12: false });

export const words = (name) => name.replaceAll("_", " ");
