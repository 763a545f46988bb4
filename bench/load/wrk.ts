/** Load by wrk: keeps a number of connections busy with one kind of request, and reads its report. */

/** What a round of load came to. Latencies in milliseconds. */
export interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx, and broken connections. */
  readonly errors: number;
  readonly requests: number;
}

/** What to ask for. */
export interface Load {
  /** `http://host:port` */
  readonly url: string;
  /** A script of this folder. */
  readonly script: string;
  /** What the script reads: see there. */
  readonly args: Readonly<Record<string, string | number>>;
  readonly connections: number;
  readonly seconds: number;
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 };

/** Runs wrk once. @throws {Error} with its output when it fails. */
export async function wrk({ url, script, args, connections, seconds }: Load): Promise<Round> {
  const command = new Deno.Command("wrk", {
    args: [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--latency",
      "--timeout",
      "20s",
      "-s",
      new URL(script, import.meta.url).pathname,
      url,
    ],
    env: Object.fromEntries(Object.entries(args).map(([name, value]) => [`BENCH_${name}`, String(value)])),
  });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`wrk failed: ${text}${new TextDecoder().decode(stderr)}`);
  return parse(text);
}

/** The figures of a report. The scripts print `errors=<n> requests=<n>` at its end. */
export function parse(text: string): Round {
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? NaN);
  const latency = (percentile: string) => {
    const match = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s|m)$`, "m").exec(text);
    return match === null ? NaN : Number(match[1]) * UNITS[match[2]!]!;
  };
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latency("50"),
    p99Ms: latency("99"),
    errors: number(/errors=(\d+)/),
    requests: number(/requests=(\d+)/),
  };
}
