/** What takes part in a comparison: started, asked for rounds, stopped. */
import type { Round } from "../load/wrk.ts";

/** Circumstances of all rounds. */
export interface Setting {
  readonly connections: number;
  readonly seconds: number;
  readonly keys: number;
  /** Bytes of a document. */
  readonly size: number;
}

/** A kind of request that a contender can be asked for. */
export type Work = "put" | "get" | "put_many" | "get_many";

export interface Contender {
  readonly name: string;
  /** What it does, and with which guarantees, for the table. */
  readonly about: string;
  readonly works: readonly Work[];
  /** Ids of its processes by what they are. */
  processes(): Readonly<Record<string, number>>;
  round(work: Work, setting: Setting): Promise<Round>;
  stop(): Promise<void>;
}

/** A contender that cannot take part on this machine; the message says why. */
export class Absent extends Error {
  override name = "Absent";
}

/** Whether a program is on the PATH. */
export async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("which", { args: [program], stdout: "null", stderr: "null" }).output();
  return success;
}

/** Waits until `attempt` does not throw any more. @throws {Error} the last reason, after 60 s. */
export async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + 60_000;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
