/**
 * A real Ceph Object Gateway for tests: one monitor, one object store in memory and one gateway, from Debian's packages
 * `ceph-mon`, `ceph-osd`, `ceph-common` and `radosgw`, all on the loopback interface and ended with this process.
 */
import { freePort } from "../tools/free_port.ts";

const PROGRAMS = ["ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin", "setpriv"];
const START_MS_MAX = 120_000;
const POLL_MS = 200;

/** Why the gateway cannot be started on this machine, or `undefined`. */
export async function missingForRadosgw(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "Ceph's gateway runs on Linux";
  const missing: string[] = [];
  for (const program of PROGRAMS) {
    const found = await new Deno.Command("sh", {
      args: ["-c", `command -v ${program}`],
      stdout: "null",
      stderr: "null",
    })
      .output();
    if (!found.success) missing.push(program);
  }
  return missing.length === 0
    ? undefined
    : `${missing.join(", ")} not found (apt-get install ceph-mon ceph-osd ceph-common radosgw)`;
}

/** Keys of an account at the gateway. */
export interface Account {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Runs a command to its end. @throws {Error} with its output when it fails */
async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Awaits a condition that only a process outside can make true. */
async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + START_MS_MAX;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`${what} did not happen within ${START_MS_MAX / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A process that ends with this one, at the latest. */
function spawn(command: string, args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", command, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function end(child: Deno.ChildProcess | undefined, signal: Deno.Signal): Promise<void> {
  if (child === undefined) return;
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
  await child.status;
}

/** Whether all threads of a process are stopped (`T` in Linux's `/proc`). */
async function isStopped(pid: number): Promise<boolean> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const stat = await Deno.readTextFile(`/proc/${pid}/task/${name}/stat`);
    if (stat[stat.lastIndexOf(")") + 2] !== "T") return false;
  }
  return true;
}

const END_MS_MAX = 15_000;

/** Ends a process, kindly at first: a gateway that is killed leaves watches behind, for which the next one waits. */
async function endKindly(child: Deno.ChildProcess | undefined): Promise<void> {
  if (child === undefined) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), END_MS_MAX);
  await end(child, "SIGTERM");
  clearTimeout(timer);
}

/** The running gateway. */
export class Radosgw {
  readonly port: number;
  /** The account that owns what the tests make. */
  readonly account: Account = { accessKey: "minioadmin", secretKey: "minioadmin" };
  readonly #directory: string;
  readonly #daemons: Deno.ChildProcess[] = [];
  #gateway: Deno.ChildProcess | undefined;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.port = port;
  }

  /** Makes a cluster in a temporary directory and starts it; takes about 15 s. */
  static async start(): Promise<Radosgw> {
    const directory = await Deno.makeTempDir({ prefix: "deltadb-radosgw-" });
    const gateway = new Radosgw(directory, freePort());
    try {
      await gateway.#startCluster();
      await gateway.startGateway();
      await gateway.addAccount("delta", gateway.account);
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** `host:port`. */
  get endpoint(): string {
    return `127.0.0.1:${this.port}`;
  }

  get #config(): string {
    return `${this.#directory}/ceph.conf`;
  }

  async addAccount(id: string, account: Account): Promise<void> {
    await run("radosgw-admin", [
      ...["-c", this.#config, "-n", "client.rgw", "user", "create", `--uid=${id}`, `--display-name=${id}`],
      ...[`--access-key=${account.accessKey}`, `--secret-key=${account.secretKey}`],
    ]);
  }

  /** Makes the gateway refuse an account's keys, or take them again. */
  async suspend(id: string, suspended: boolean): Promise<void> {
    const command = suspended ? "suspend" : "enable";
    await run("radosgw-admin", ["-c", this.#config, "-n", "client.rgw", "user", command, `--uid=${id}`]);
  }

  /** Starts the gateway itself, at first and after {@linkcode stopGateway}. */
  async startGateway(): Promise<void> {
    this.#gateway = spawn("radosgw", ["-c", this.#config, "-n", "client.rgw", "-f"]);
    await until("an answer of the gateway", async () => {
      try {
        await (await fetch(`http://${this.endpoint}/`)).body?.cancel();
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Ends the gateway; what is stored stays. */
  async stopGateway(): Promise<void> {
    await endKindly(this.#gateway);
    this.#gateway = undefined;
  }

  /** The gateway stands still from when it resolves: it accepts connections and does not answer. */
  async pauseGateway(): Promise<void> {
    const { pid } = this.#gateway!;
    this.#gateway!.kill("SIGSTOP");
    // Until one of its threads has taken the signal, which may take a while on a busy machine, the others go on.
    await until("the gateway to stand still", () => isStopped(pid));
  }

  /** Lets a paused gateway go on. */
  resumeGateway(): void {
    this.#gateway?.kill("SIGCONT");
  }

  /** Ends everything and removes it. */
  async stop(): Promise<void> {
    await this.stopGateway();
    for (const daemon of this.#daemons.reverse()) await end(daemon, "SIGKILL");
    await Deno.remove(this.#directory, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #startCluster(): Promise<void> {
    const directory = this.#directory;
    const config = this.#config;
    const keyring = `${directory}/keyring`;
    const monmap = `${directory}/monmap`;
    const [fsid, osd] = [crypto.randomUUID(), crypto.randomUUID()];
    const monitor = `v2:127.0.0.1:${freePort()}`;
    for (const name of ["mon", "osd", "rgw", "log"]) await Deno.mkdir(`${directory}/${name}`);
    await Deno.writeTextFile(config, configuration({ directory, fsid, monitor, keyring, port: this.port }));

    await run("ceph-authtool", ["--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"]);
    for (const [name, monitorCap] of [["client.admin", "*"], ["client.rgw", "*"], ["osd.0", "profile osd"]] as const) {
      const caps = ["--cap", "mon", `allow ${monitorCap}`, "--cap", "osd", "allow *", "--cap", "mgr", "allow *"];
      await run("ceph-authtool", [keyring, "--gen-key", "-n", name, ...caps]);
    }
    await run("monmaptool", ["--create", "--clobber", "--fsid", fsid, "--addv", "a", `[${monitor}]`, monmap]);
    await run("ceph-mon", ["-c", config, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring]);
    this.#daemons.push(spawn("ceph-mon", ["-c", config, "-i", "a", "-f"]));

    const ceph = (...args: string[]) => run("ceph", ["-c", config, "--connect-timeout", "60", ...args]);
    await ceph("osd", "new", osd, "0");
    await ceph("auth", "import", "-i", keyring);
    await ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost");
    await run("ceph-osd", ["-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd]);
    this.#daemons.push(spawn("ceph-osd", ["-c", config, "-i", "0", "-f"]));
    await until("the start of the object store", async () => / 1 up/.test(await ceph("osd", "stat")));
  }
}

function configuration(parts: {
  readonly directory: string;
  readonly fsid: string;
  readonly monitor: string;
  readonly keyring: string;
  readonly port: number;
}): string {
  const { directory, fsid, monitor, keyring, port } = parts;
  return `[global]
fsid = ${fsid}
mon host = ${monitor}
public addr = 127.0.0.1
keyring = ${keyring}
run dir = ${directory}
pid file = ${directory}/$type.$id.pid
admin socket = ${directory}/$type.$id.asok
log file = ${directory}/log/$type.$id.log
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[mon.a]
mon data = ${directory}/mon

[osd.0]
osd data = ${directory}/osd

[client.rgw]
rgw data = ${directory}/rgw
rgw frontends = beast endpoint=127.0.0.1:${port}
`;
}
