/**
 * Instruments over prom-client's registry: counters and histograms that cost an addition on the path of a request, and
 * values that are asked for when Prometheus asks. A source that fails leaves its metric out and harms no other.
 */
import type { Metric, Registry } from "prom-client";
import { METRIC_SERIES_MAX } from "../limits.ts";
import { type Families, type Family, METRIC_PREFIX } from "./families.ts";

/** A value of a metric with the values of its labels, in the order of their declaration. */
export type Sample = readonly [value: number, ...labels: readonly string[]];

/** Asked at each scrape: one number for a metric without labels, else its samples. `undefined`: nothing to say now. */
export type Source = () => number | undefined | Iterable<Sample>;

type Labels = Record<string, string | number>;

/** A line of a scrape. */
interface Value {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** Registers a metric whose values are made at each scrape. */
function register(registry: Registry, name: string, family: Family, values: () => Value[]): void {
  const { type, help } = family;
  const get = () => Promise.resolve({ name, help, type, aggregator: "sum", values: values() });
  // Of a metric, the registry uses its name and `get`; prom-client's own classes would keep a second set of the figures,
  // and take half a microsecond for an observation.
  registry.registerMetric({ name, help, type, aggregator: "sum", get, reset() {} } as unknown as Metric);
}

function labelled(family: Family, labels: readonly string[]): Labels {
  return Object.fromEntries((family.labels ?? []).map((name, index) => [name, labels[index] ?? ""]));
}

/** Series of one metric by the values of its labels; a bounded number of them. */
class Series<Cell> {
  readonly #cells = new Map<string, { readonly labels: Labels; readonly cell: Cell }>();
  readonly #family: Family;
  readonly #make: () => Cell;

  constructor(family: Family, make: () => Cell) {
    this.#family = family;
    this.#make = make;
    // Without labels there is one series from the start: what has not happened yet is 0, not absent.
    if (family.labels === undefined) this.get();
  }

  get(...labels: readonly string[]): Cell {
    const key = labels.length === 1 ? labels[0]! : labels.join("\u0000");
    const known = this.#cells.get(key);
    if (known !== undefined) return known.cell;
    if (this.#cells.size >= METRIC_SERIES_MAX && labels.some((label) => label !== "other")) {
      return this.get(...labels.map(() => "other"));
    }
    const cell = this.#make();
    this.#cells.set(key, { labels: labelled(this.#family, labels), cell });
    return cell;
  }

  *[Symbol.iterator](): Iterator<{ readonly labels: Labels; readonly cell: Cell }> {
    yield* this.#cells.values();
  }
}

/** A number that is counted up. */
export interface CounterCell {
  value: number;
}

/** A counter that the code counts up. */
export class CountedMetric {
  readonly #series: Series<CounterCell>;

  constructor(registry: Registry, metricName: string, family: Family) {
    const series = this.#series = new Series<CounterCell>(family, () => ({ value: 0 }));
    register(
      registry,
      metricName,
      family,
      () => [...series].map(({ labels, cell }) => ({ metricName, labels, value: cell.value })),
    );
  }

  /** The cell of these labels, to be kept where the path is hot. */
  cell(...labels: readonly string[]): CounterCell {
    return this.#series.get(...labels);
  }

  add(amount: number, ...labels: readonly string[]): void {
    this.#series.get(...labels).value += amount;
  }
}

/** Observations of one series. */
export class HistogramCell {
  readonly #bounds: readonly number[];
  /** Observations by bucket, not added up; the last is for those beyond every bound. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.counts[bucket]! += 1;
    this.sum += value;
  }
}

/** A histogram that the code observes into. */
export class HistogramMetric {
  readonly #series: Series<HistogramCell>;

  constructor(registry: Registry, name: string, family: Family) {
    const bounds = family.buckets ?? [];
    const series = this.#series = new Series(family, () => new HistogramCell(bounds));
    register(registry, name, family, () =>
      [...series].flatMap(({ labels, cell }) => {
        let count = 0;
        const buckets = [...bounds, "+Inf"].map((le, index) => {
          count += cell.counts[index]!;
          return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
        });
        return [
          ...buckets,
          { metricName: `${name}_sum`, labels, value: cell.sum },
          { metricName: `${name}_count`, labels, value: count },
        ];
      }));
  }

  /** The cell of these labels, to be kept where the path is hot. */
  cell(...labels: readonly string[]): HistogramCell {
    return this.#series.get(...labels);
  }

  observe(value: number, ...labels: readonly string[]): void {
    this.#series.get(...labels).observe(value);
  }
}

/**
 * Counts a request or an operation by its kind and its result, and its time by its kind. It keeps the cells by kind and
 * result: two look-ups in small maps, no string is made.
 */
export function countByResult<Result extends string | number>(
  results: CountedMetric,
  durations: HistogramMetric,
  ...labels: readonly string[]
): (kind: string, result: Result, seconds?: number) => void {
  const kinds = new Map<string, { readonly results: Map<Result, CounterCell>; readonly duration: HistogramCell }>();
  return (kind, result, seconds) => {
    let cells = kinds.get(kind);
    if (cells === undefined) {
      cells = { results: new Map(), duration: durations.cell(...labels, kind) };
      if (kinds.size < METRIC_SERIES_MAX) kinds.set(kind, cells);
    }
    let cell = cells.results.get(result);
    if (cell === undefined) {
      cell = results.cell(...labels, kind, String(result));
      if (cells.results.size < METRIC_SERIES_MAX) cells.results.set(result, cell);
    }
    cell.value += 1;
    if (seconds !== undefined) cells.duration.observe(seconds);
  };
}

/** A counter or a gauge whose value somebody else keeps; absent until it has a source. */
export class AskedMetric {
  #source: Source = () => undefined;

  constructor(registry: Registry, metricName: string, family: Family) {
    register(registry, metricName, family, () => {
      try {
        const answer = this.#source();
        if (answer === undefined) return [];
        const samples: Iterable<Sample> = typeof answer === "number" ? [[answer]] : answer;
        return Array.from(samples, ([value, ...labels]) => ({ metricName, labels: labelled(family, labels), value }))
          .slice(0, METRIC_SERIES_MAX);
      } catch {
        // A part that is shutting down or failing: its figures are missing from this scrape, which says enough.
        return [];
      }
    });
  }

  /** From now on `source` is asked. */
  from(source: Source): void {
    this.#source = source;
  }
}

/** The instrument of each family: a histogram; a counter that the code counts, if named; else one that is asked. */
export type Instruments<Table extends Families, Counted extends keyof Table> = {
  readonly [Name in keyof Table]: Table[Name]["type"] extends "histogram" ? HistogramMetric
    : Name extends Counted ? CountedMetric
    : AskedMetric;
};

/** Makes the instruments of a program and registers them. `counted`: the counters that the code counts up itself. */
export function makeInstruments<const Table extends Families, const Counted extends readonly (keyof Table & string)[]>(
  registry: Registry,
  families: Table,
  counted: Counted,
): Instruments<Table, Counted[number]> {
  const make = (name: string, family: Family) => {
    const full = METRIC_PREFIX + name;
    if (family.type === "histogram") return new HistogramMetric(registry, full, family);
    return counted.includes(name) ? new CountedMetric(registry, full, family) : new AskedMetric(registry, full, family);
  };
  const entries = Object.entries(families).map(([name, family]) => [name, make(name, family)]);
  return Object.fromEntries(entries) as Instruments<Table, Counted[number]>;
}
