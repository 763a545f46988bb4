/** Another process for tests that kill one: run as a program, it is that process; imported, it starts one. */
import { GRPC_MESSAGE_BYTES_MAX_DEFAULT } from "../../limits.ts";
import type { HeartbeatRequest } from "../messages.ts";
import { connectMainOverGrpc } from "./main_client.ts";
import { serveMainOverGrpc } from "./main_server.ts";

const messageBytesMax = GRPC_MESSAGE_BYTES_MAX_DEFAULT;

/**
 * `heartbeat <address>`: sends one heartbeat and waits. `insist <address>`: sends one after the other, whatever comes of
 * them. `serve`: listens, prints its address, prints `heartbeat` for each one, and answers none.
 */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #over = false;

  constructor(...args: string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", import.meta.filename!, ...args],
      // The C library overwrites what is freed: to use it once more is a crash, not an accident that waits.
      env: { MALLOC_PERTURB_: "165" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#process.status.then(() => this.#over = true);
    this.#lines = lines(this.#process.stdout);
  }

  /** Whether the process is gone. */
  get over(): boolean {
    return this.#over;
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<unknown> {
    return this.#process.status;
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("the process ended");
    return value;
  }

  /** Ends it with SIGKILL. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.ended;
    await this.#lines.return?.();
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

const HEARTBEAT: HeartbeatRequest = {
  workerId: "w",
  session: "s",
  token: "t",
  seq: 1,
  owned: [],
  releasing: [],
  failing: [],
  finished: [],
  epoch: 0,
  leaving: false,
  activeRequests: 0,
  cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 },
  immediate: false,
};

if (import.meta.main) {
  const [mode, address] = Deno.args;
  if (mode === "heartbeat") {
    await connectMainOverGrpc({ address: address!, messageBytesMax }).heartbeat(HEARTBEAT, 60_000);
  } else if (mode === "insist") {
    const client = connectMainOverGrpc({ address: address!, messageBytesMax });
    while (true) await client.heartbeat(HEARTBEAT, 1_000).catch(() => {});
  } else {
    const refuse = () => Promise.reject(new Error("not expected"));
    const server = await serveMainOverGrpc({
      address: "127.0.0.1:0",
      messageBytesMax,
      handler: {
        subscribe: refuse,
        unsubscribe: refuse,
        heartbeat: () => {
          console.log("heartbeat");
          return new Promise(() => {});
        },
      },
      process: refuse,
      onFault: console.error,
    });
    console.log(server.address);
  }
}
