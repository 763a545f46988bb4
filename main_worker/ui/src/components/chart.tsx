/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** A line chart over time. The drawing library is fetched when the first chart is shown. */
import { useEffect, useRef } from "preact/hooks";
import type { AlignedData, default as UPlot, Options } from "uplot";
import { useApp } from "../app/app.ts";
import { PartMissing, useLazyModule } from "../app/lazy_module.ts";
import { clock } from "../format/time.ts";
import { Problem } from "./states.tsx";

interface ChartSeries {
  readonly label: string;
  /** Name of a CSS variable that holds the colour. */
  readonly color: string;
  readonly values: readonly (number | null)[];
  readonly dashed?: boolean;
}

interface ChartProps {
  /** What the chart shows, for screen readers: with its latest figures. */
  readonly summary: string;
  /** Seconds since the epoch. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly format: (value: number) => string;
  readonly height?: number;
}

const loadPlot = () => import("uplot");

const HEIGHT = 180;
/** A chart shows at least this much time, so that it does not stretch while the first figures come in. */
const SPAN_S_MIN = 120;

/** Lines over time, with the figures under the pointer. */
export function Chart({ summary, times, series, format, height = HEIGHT }: ChartProps) {
  const { theme } = useApp();
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const shape = series.map(({ label, color, dashed }) => `${label} ${color} ${dashed}`).join("|");
  const colours = theme.current.value;
  const data: AlignedData = [[...times], ...series.map(({ values }) => [...values])];
  const latest = useRef(data);
  latest.current = data;

  const { part, problem, retry } = useLazyModule(loadPlot);

  useEffect(() => {
    if (!part) return;
    const element = host.current!;
    plot.current = new part.default(options(element, series, format, height), latest.current, element);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [part, shape, colours, height]);
  useEffect(() => plot.current?.setData(data));
  return (
    <>
      {/* That the server is away is said once, by the frame around the page. */}
      {problem instanceof PartMissing && <Problem error={problem} retry={retry} />}
      <div ref={host} class="chart" role="img" aria-label={summary} style={{ minHeight: `${height}px` }} />
    </>
  );
}

function options(
  element: HTMLElement,
  series: readonly ChartSeries[],
  format: (value: number) => string,
  height: number,
): Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${colour("--sans")}`;
  const grid = { stroke: colour("--border"), width: 1 };
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    padding: [10, 30, 0, 0],
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, min, max) => [Math.min(min, max - SPAN_S_MIN), max] },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      {
        stroke: colour("--text-3"),
        font,
        grid: { show: false },
        ticks: { show: false },
        size: 22,
        space: 90,
        values: (_plot, ticks, _axis, _space, stepS) => ticks.map((second) => clock(second * 1_000, stepS < 60)),
      },
      {
        stroke: colour("--text-3"),
        font,
        grid,
        ticks: { show: false },
        size: 58,
        space: 34,
        values: (_plot, ticks) => ticks.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ label, color, dashed }) => ({
        label,
        stroke: colour(color),
        width: 1.75,
        ...(dashed ? { dash: [5, 4] } : {}),
        spanGaps: true,
      })),
    ],
    plugins: [tooltip(format)],
  };
}

/** Shows the figures under the pointer. */
function tooltip(format: (value: number) => string) {
  const box = document.createElement("div");
  box.className = "chart-tip";
  box.hidden = true;
  return {
    hooks: {
      init: (plot: UPlot) => {
        plot.over.append(box);
      },
      setCursor: (plot: UPlot) => {
        const { idx, left = 0 } = plot.cursor;
        box.hidden = idx === null || idx === undefined || left < 0;
        if (box.hidden) return;
        const time = document.createElement("b");
        time.textContent = clock(plot.data[0][idx!]! * 1_000, true);
        const lines = plot.series.slice(1).map(({ label, stroke }, index) => {
          const value = plot.data[index + 1]?.[idx!];
          const line = document.createElement("span");
          const dot = document.createElement("i");
          dot.style.background = String(typeof stroke === "function" ? stroke(plot, index + 1) : stroke);
          const name = typeof label === "string" ? label : "";
          line.append(dot, `${name} ${value === null || value === undefined ? "–" : format(value)}`);
          return line;
        });
        box.replaceChildren(time, ...lines);
        const flip = left > plot.over.clientWidth / 2;
        box.style.transform = `translateX(${flip ? `calc(${left - 12}px - 100%)` : `${left + 12}px`})`;
      },
    },
  };
}
