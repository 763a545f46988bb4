/** The PromQL expressions of `deploy/monitoring`, and the names of metrics in them. */
import { readManifest } from "./manifests.ts";
import { ROOT } from "./command.ts";

/** The expressions of the dashboard, with Grafana's own variables filled in. */
export async function dashboardExpressions(): Promise<string[]> {
  const path = `${ROOT}deploy/monitoring/grafana/dashboards/deltadatabase.json`;
  const found: string[] = [];
  JSON.parse(await Deno.readTextFile(path), (key, value) => {
    if (key === "expr") found.push(value);
    return value;
  });
  return found.map((expression) => expression.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h"));
}

/** The expressions of the alerts. */
export async function alertExpressions(): Promise<string[]> {
  const { groups } = await readManifest("monitoring/alerts.yml");
  return groups.flatMap((group: { rules: { expr: string }[] }) => group.rules.map(({ expr }) => expr));
}

/**
 * The metrics that expressions ask for, sorted. A series of a histogram is the histogram's, where `families` has that name.
 */
export function metricNames(expressions: readonly string[], families: ReadonlySet<string>): string[] {
  const names = expressions.flatMap((expression) => expression.match(/\b(?:deltadatabase|process)_[a-z0-9_]+/g) ?? []);
  const family = (name: string) => {
    const base = name.replace(/_(?:bucket|sum|count)$/, "");
    return families.has(base) ? base : name;
  };
  return [...new Set(names.map(family))].sort();
}
