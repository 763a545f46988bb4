/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** What an operator should know, in words; or that there is nothing. */
import { sentence } from "../api/errors.ts";
import type { Stats } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { Icon } from "../components/icons.tsx";
import { counted } from "../format/numbers.ts";
import { moment } from "../format/time.ts";
import { allWarnings } from "./figures.ts";

/** The warnings, the gravest first. */
export function WarningList({ stats }: { stats: Stats }) {
  const { nowMs } = useApp();
  // Dev mode has a banner of its own on every page.
  const warnings = allWarnings(stats).filter(({ code }) => code !== "dev_mode");
  const grave = warnings.some(({ severity }) => severity !== "info");
  const available = stats.workers.filter(({ status }) => status === "Available").length;
  return (
    <section class="health" aria-label="State" aria-live="polite">
      {!grave && (
        <p class="health-ok">
          <span class="dot ok" aria-hidden="true" />
          <b>Everything is well.</b>
          <span>{counted(available, "worker")} on duty, all {stats.partitions.count} partitions have an owner.</span>
        </p>
      )}
      {warnings.length > 0 && (
        <ul class="warnings">
          {warnings.map(({ code, severity, message, since }) => (
            <li key={code + message} class={severity}>
              <Icon name={severity === "info" ? "info" : "warning"} />
              <p>
                {sentence(message)}
                {since && !message.includes("since") && !message.includes("heard of") && (
                  <span class="since">{` Since ${moment(Date.parse(since), nowMs.value)}.`}</span>
                )}
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
