/** Times and durations as people read them, in the zone and the language of the browser. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const CLOCK_SECONDS = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** Date and time to the second. */
export function fullTime(ms: number): string {
  return FULL.format(ms);
}

/** The day alone. */
export function day(ms: number): string {
  return DAY.format(ms);
}

/** Hours and minutes, with seconds if asked. */
export function clock(ms: number, seconds = false): string {
  return (seconds ? CLOCK_SECONDS : CLOCK).format(ms);
}

/** A moment in the past: the time alone when it was today, else with the day. */
export function moment(ms: number, nowMs: number): string {
  return new Date(ms).toDateString() === new Date(nowMs).toDateString() ? clock(ms) : DAY_AND_CLOCK.format(ms);
}

/** How long ago: "just now", "5 min ago", "3 h ago", "yesterday", or the day. */
export function ago(ms: number, nowMs: number): string {
  const age = nowMs - ms;
  if (age < 10_000) return "just now";
  if (age < MINUTE_MS) return `${Math.floor(age / 1_000)} s ago`;
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min ago`;
  if (age < DAY_MS) return `${Math.floor(age / HOUR_MS)} h ago`;
  if (age < 14 * DAY_MS) return `${Math.floor(age / DAY_MS)} d ago`;
  return day(ms);
}

/** A time in the future in its nearest unit: "in 7 days", "in 5 hours". */
export function until(ms: number, nowMs: number): string {
  const left = Math.max(0, ms - nowMs);
  const [amount, unit] = left >= 1.5 * DAY_MS
    ? [left / DAY_MS, "day"]
    : left >= 1.5 * HOUR_MS
    ? [left / HOUR_MS, "hour"]
    : [left / MINUTE_MS, "minute"];
  const rounded = Math.max(1, Math.round(amount));
  return `in ${rounded} ${unit}${rounded === 1 ? "" : "s"}`;
}

/** A span in its two largest units: "3 d 4 h", "12 min". */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}
