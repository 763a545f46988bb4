/** Figures of rounds, put together: a table for people, JSON for machines, a plot. */
import type { Round } from "./load/wrk.ts";

/** One contender under one kind of work. */
export interface Entry {
  readonly contender: string;
  readonly about: string;
  readonly work: string;
  readonly rounds: readonly Round[];
  /** CPU microseconds per request, by process, over all rounds. */
  readonly cpuUs: Readonly<Record<string, number>>;
  /** Resident memory in MiB after the last round, by process. */
  readonly memoryMib: Readonly<Record<string, number>>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Columns of equal width; the first is flush left. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join("  ")
      .trimEnd()
  ).join("\n");
}

const round0 = (value: number) => Math.round(value).toLocaleString("en");
const fixed = (value: number) => value < 10 ? value.toFixed(2) : value.toFixed(1);

/** Medians with ranges, and the ratio to the first contender of the same work. */
export function describe(entries: readonly Entry[]): string {
  const header = ["", "work", "per second (range)", "ratio", "p50 ms", "p99 ms", "errors", "CPU µs/request", "MiB"];
  const rows = entries.map((entry) => {
    const rates = entry.rounds.map((round) => round.perSecond);
    const first = entries.find((other) => other.work === entry.work)!;
    const ratio = median(rates) / median(first.rounds.map((round) => round.perSecond));
    const each = (figures: Readonly<Record<string, number>>, show: (value: number) => string) =>
      Object.entries(figures).map(([name, value]) => `${name} ${show(value)}`).join(", ");
    return [
      entry.contender,
      entry.work,
      `${round0(median(rates))} (${round0(Math.min(...rates))}–${round0(Math.max(...rates))})`,
      ratio.toFixed(2),
      fixed(median(entry.rounds.map((round) => round.p50Ms))),
      fixed(median(entry.rounds.map((round) => round.p99Ms))),
      String(entry.rounds.reduce((sum, round) => sum + round.errors, 0)),
      each(entry.cpuUs, round0),
      each(entry.memoryMib, round0),
    ];
  });
  return table([header, ...rows]);
}

/** A line of a plot. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** An SVG plot with a logarithmic x axis. */
export function plot(title: string, xLabel: string, yLabel: string, series: readonly Series[]): string {
  const [width, height, left, right, top, bottom] = [720, 400, 80, 20, 40, 50];
  const xs = series.flatMap(({ points }) => points.map(({ x }) => x));
  const yMax = Math.max(...series.flatMap(({ points }) => points.map(({ y }) => y))) * 1.1;
  const [low, high] = [Math.log10(Math.min(...xs)), Math.log10(Math.max(...xs))];
  const px = (x: number) => left + (width - left - right) * (high === low ? 0.5 : (Math.log10(x) - low) / (high - low));
  const py = (y: number) => height - bottom - (height - top - bottom) * y / yMax;
  const colours = ["#2563eb", "#d97706", "#059669", "#dc2626"];
  const text = (x: number, y: number, anchor: string, content: string) =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content}</text>`;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const y = py(yMax * part);
    return `<line x1="${left}" x2="${width - right}" y1="${y}" y2="${y}" stroke="#ddd"/>` +
      text(left - 8, y + 4, "end", round0(yMax * part));
  });
  const ticks = [...new Set(xs)].map((x) => text(px(x), height - bottom + 18, "middle", x.toLocaleString("en")));
  const lines = series.map(({ name, points }, i) => {
    const colour = colours[i % colours.length];
    const path = points.map(({ x, y }, n) => `${n === 0 ? "M" : "L"}${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    const dots = points.map(({ x, y }) =>
      `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour}"/>`
    );
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join("")}` +
      `<g fill="${colour}">${text(width - right, top + 16 * i, "end", name)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="white"/>` + text(left, 20, "start", title) + grid.join("") +
    ticks.join("") +
    lines.join("") + text(width / 2, height - 12, "middle", xLabel) + text(left, top - 6, "start", yLabel) + "</svg>\n";
}
