/** Counts, sizes, rates and latencies with their units. */

const COUNT = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Groups of three digits: 1,204. */
export function count(value: number): string {
  return COUNT.format(value);
}

/** At most four characters and a letter: 1.2K. */
export function shortCount(value: number): string {
  return value < 10_000 ? COUNT.format(value) : SHORT.format(value);
}

/** "1 document", "3 documents". */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Bytes in powers of 1,024: 512 B, 1.5 KiB. */
export function bytes(value: number): string {
  let unit = 0;
  let amount = value;
  while (amount >= 1_023.95 && unit < UNITS.length - 1) {
    amount /= 1_024;
    unit++;
  }
  return `${unit === 0 ? amount : significant(amount)} ${UNITS[unit]}`;
}

/** Requests per second. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.01) return "<0.01";
  if (value < 1) return String(Number(value.toFixed(2)));
  return value < 10 ? value.toFixed(1) : shortCount(Math.round(value));
}

/** Milliseconds, from microseconds to seconds. */
export function latency(ms: number | null): string {
  if (ms === null) return "–";
  if (ms === 0) return "0";
  if (ms < 1) return `${Math.max(1, Math.round(ms * 1_000))} µs`;
  return ms < 1_000 ? `${significant(ms)} ms` : `${significant(ms / 1_000)} s`;
}

/** A ratio from 0 to 1 as per cent. */
export function percent(ratio: number): string {
  const value = ratio * 100;
  return `${value > 0 && value < 99.95 && value % 1 !== 0 ? value.toFixed(1) : Math.round(value)}%`;
}

function significant(value: number): string {
  return value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
}
