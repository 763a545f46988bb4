/**
 * Child programs in one terminal: starts them, shows what they write line by line behind their names, notices the first
 * that ends, and stops them in good order.
 */
import { CHILD_LINE_BYTES_MAX } from "../limits.ts";
import type { Clock } from "../seams/clock.ts";

/** A program to be started. */
export interface ProgramSpec {
  /** In front of each of its lines. */
  readonly name: string;
  /** Path of the executable. */
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Programs of a higher tier stop before those of a lower one; within a tier, all at once. */
  readonly tier: number;
}

/** How a program ended. */
export interface Ended {
  readonly name: string;
  /** Exit status; 128 plus the number of the signal that ended it. */
  readonly code: number;
  readonly signal: string | null;
}

/** Takes whole lines of a program, each with its line feed. */
export type ShowLine = (name: string, line: Uint8Array) => void;

const LINE_FEED = 0x0a;

/**
 * Hands the lines of a stream to `show`, each with one line feed at its end, also the last one. A line beyond the bound
 * is shown in pieces.
 */
export async function splitLines(
  stream: ReadableStream<Uint8Array>,
  show: (line: Uint8Array) => void,
  bytesMax: number = CHILD_LINE_BYTES_MAX,
): Promise<void> {
  let rest = new Uint8Array(0);
  const flush = (line: Uint8Array) => {
    const whole = new Uint8Array(line.length + 1);
    whole.set(line);
    whole[line.length] = LINE_FEED;
    show(whole);
  };
  for await (const chunk of stream) {
    let data = new Uint8Array(rest.length + chunk.length);
    data.set(rest);
    data.set(chunk, rest.length);
    for (;;) {
      const end = data.indexOf(LINE_FEED);
      if (end >= 0 && end <= bytesMax) {
        flush(data.subarray(0, end));
        data = data.subarray(end + 1);
      } else if (data.length > bytesMax) {
        flush(data.subarray(0, bytesMax));
        data = data.subarray(bytesMax);
      } else break;
    }
    rest = data.slice();
  }
  if (rest.length > 0) flush(rest);
}

interface Child {
  readonly spec: ProgramSpec;
  readonly process: Deno.ChildProcess;
  /** Resolves when the program has ended and its last line was shown. */
  readonly ended: Promise<Ended>;
  over: boolean;
}

/** What a group of programs is made of. */
export interface ProgramGroupOptions {
  readonly show: ShowLine;
  readonly clock: Clock;
  /** How long a program may take to stop before it is ended by force, in milliseconds. */
  readonly graceMs: number;
}

/** Programs that live and die together. */
export class ProgramGroup {
  readonly #options: ProgramGroupOptions;
  readonly #children: Child[] = [];
  readonly #first = Promise.withResolvers<Ended>();

  constructor(options: ProgramGroupOptions) {
    this.#options = options;
  }

  /** Resolves with the first program that ends, for whatever reason. */
  get firstEnded(): Promise<Ended> {
    return this.#first.promise;
  }

  /** Starts a program. It has a process group of its own, so that Ctrl-C reaches only this process, which then stops it in order. */
  start(spec: ProgramSpec): void {
    const process = new Deno.Command(spec.command, {
      args: [...spec.args],
      cwd: spec.cwd,
      env: { ...spec.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const show = (line: Uint8Array) => this.#options.show(spec.name, line);
    const shown = Promise.all([splitLines(process.stdout, show), splitLines(process.stderr, show)]);
    const child: Child = { spec, process, over: false, ended: this.#end(spec.name, process, shown) };
    this.#children.push(child);
    child.ended.then((ended) => {
      child.over = true;
      this.#first.resolve(ended);
    });
  }

  async #end(name: string, process: Deno.ChildProcess, shown: Promise<unknown>): Promise<Ended> {
    const { code, signal } = await process.status;
    await shown;
    return { name, code, signal };
  }

  /** Stops all programs, tier by tier. */
  async stop(): Promise<void> {
    const tiers = Map.groupBy(this.#children, (child) => child.spec.tier);
    for (const [, children] of [...tiers].toSorted(([a], [b]) => b - a)) {
      await Promise.all(children.map((child) => this.#stop(child)));
    }
  }

  /** Ends all programs by force. */
  kill(): void {
    for (const child of this.#children) signalChild(child, "SIGKILL");
  }

  async #stop(child: Child): Promise<void> {
    const { clock, graceMs } = this.#options;
    signalChild(child, "SIGTERM");
    const timer = clock.setTimer(() => signalChild(child, "SIGKILL"), graceMs);
    await child.ended;
    clock.clearTimer(timer);
  }
}

function signalChild(child: Child, signal: Deno.Signal): void {
  if (child.over) return;
  try {
    child.process.kill(signal);
  } catch {
    // It has ended by itself a moment ago.
  }
}
