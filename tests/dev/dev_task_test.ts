/** `deno task dev` as a person uses it: start, store, lose a program to `kill -9`, start again, read, stop. */
import assert from "assert";

const ROOT = new URL("../../", import.meta.url).pathname;
const DOCUMENT = '{"text":"canary-5c1d","n":12345678901234567890}';

/** The task at work. */
class DevTask {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  /** Everything that it has shown. */
  shown = "";

  constructor(data: string) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["task", "-q", "dev", "-rest-addr=127.0.0.1:0", "-grpc-addr=127.0.0.1:0", `-data=${data}`],
      cwd: ROOT,
      env: { ADMIN_KEY: "", MASTER_KEY: "" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Reads until `pattern` matches, or to the end without one. */
  async until(pattern?: RegExp): Promise<RegExpExecArray | null> {
    for (;;) {
      const match = pattern?.exec(this.shown) ?? null;
      if (match !== null) return match;
      const { done, value } = await this.#lines.read();
      if (done) {
        assert.equal(pattern, undefined, `the task has ended before it showed ${pattern}:\n${this.shown}`);
        return null;
      }
      this.shown += value;
    }
  }

  /** Address of the REST door, once the database is ready. */
  async ready(): Promise<string> {
    return (await this.until(/DeltaDatabase is ready: (http:\/\/[\d.:]+)\//))![1]!;
  }

  stop(): void {
    this.#process.kill("SIGTERM");
  }

  async end(): Promise<number> {
    await this.until();
    return (await this.#process.status).code;
  }
}

async function token(url: string): Promise<string> {
  const answer = await fetch(`${url}/api/login`, { method: "POST", body: JSON.stringify({ client_id: "test" }) });
  assert.equal(answer.status, 200);
  return (await answer.json()).token;
}

/** Processes whose command line has this text. */
function processesWith(text: string): number[] {
  return Array.from(Deno.readDirSync("/proc"), (entry) => Number(entry.name)).filter((pid) => {
    if (!Number.isInteger(pid) || pid === Deno.pid) return false;
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(text);
    } catch {
      return false;
    }
  });
}

Deno.test("deno task dev: what was stored is there after kill -9, and nothing is left behind", async () => {
  const data = `./data/test-${crypto.randomUUID().slice(0, 8)}`;
  const url = (base: string) => `${base}/entity/chat.v1?key=a`;
  try {
    const first = new DevTask(data);
    const at = await first.ready();
    const authorization = `Bearer ${await token(at)}`;
    const put = await fetch(url(at), { method: "PUT", body: DOCUMENT, headers: { authorization } });
    assert.equal(put.status, 200, await put.text());
    const main = processesWith(`${data}/db`).filter((pid) =>
      Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("main_worker/main.ts")
    );
    assert.equal(main.length, 1);
    Deno.kill(main[0]!, "SIGKILL");
    assert.equal(await first.end(), 1);
    assert.match(first.shown, /dev: main was ended by SIGKILL; the other programs are stopped/);
    assert.deepEqual(processesWith(data), []);

    const second = new DevTask(data);
    const again = await second.ready();
    const got = await fetch(url(again), { headers: { authorization: `Bearer ${await token(again)}` } });
    assert.deepEqual([got.status, await got.text()], [200, DOCUMENT]);
    second.stop();
    assert.equal(await second.end(), 0);
    assert.match(second.shown, /Stopped\.\n$/);
    assert.deepEqual(processesWith(data), []);
    assert.ok(!`${first.shown}${second.shown}`.includes("canary-5c1d"));
    assert.ok(!/Warning|experimental/i.test(first.shown));
  } finally {
    for (const pid of processesWith(data)) Deno.kill(pid, "SIGKILL");
    await Deno.remove(`${ROOT}${data}`, { recursive: true }).catch(() => {});
    // Where nobody has used the database yet, the folder around it is this test's too.
    await Deno.remove(`${ROOT}data`).catch(() => {});
  }
});
