/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** A moment, as "5 min ago" with the full date in the tooltip. */
import { useApp } from "../app/app.ts";
import { ago, fullTime } from "../format/time.ts";

/** Keeps itself current. */
export function Ago({ ms }: { ms: number }) {
  const { nowMs } = useApp();
  return <time dateTime={new Date(ms).toISOString()} title={fullTime(ms)}>{ago(ms, nowMs.value)}</time>;
}
