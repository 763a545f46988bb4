/**
 * Attacks the REST door of a server that it starts with bytes over plain sockets, of every kind in {@linkcode KINDS}, and
 * prints what was tried and how it ended.
 *
 * ```sh
 * deno run -A tests/contract/raw_bytes.ts --cases=100000 --seed=1 --threads=2
 * ```
 */
import assert from "assert";
import { parseArgs } from "node:util";
import { ADMIN_KEY, Cluster } from "../system/cluster.ts";

/** Numbers that a seed decides (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `below - 1`. */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  of<T>(values: readonly T[]): T {
    return values[this.roll(values.length)]!;
  }

  bytes(length: number): string {
    return Array.from({ length }, () => String.fromCharCode(this.roll(256))).join("");
  }
}

/** What goes over a connection. Characters are bytes. */
interface Plan {
  readonly pieces: readonly string[];
  /**
   * How the client ends: it says that it has said everything and waits for the answer; it waits and says nothing, but not for
   * long; it hangs up at once; or it leaves the connection open for a while without reading.
   */
  readonly end: "wait" | "listen" | "hang_up" | "stay";
}

const AUTHORIZED = `Host: s\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n`;
const LAST = "Connection: close\r\n\r\n";
const METHODS = ["GET", "PUT", "PATCH", "DELETE", "POST", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "X", "PRI"];
const TARGETS = [
  "/entity/s?key=k",
  "/entity/s",
  "/entity/../s?key=k",
  "/entity/%2e%2e?key=%00",
  "/entities/s?limit=1&cursor=x&prefix=%ff",
  "/entities/s/get",
  "/schema/s",
  "/api/keys",
  "/api/login",
  "/admin/stats",
  "/health",
  "//",
  "/%",
  "*",
  "http://else.where/entity/s?key=k",
  "/docs",
  "/assets/../../etc/passwd",
];
const BODIES = [
  "",
  "{}",
  '{"a":1}',
  "[",
  '{"k":',
  '"\\ud800"',
  "1e999999",
  "nul",
  "\0",
  "\xff\xfe",
  "[[[[[[[[[[",
  "{".repeat(500),
];
const HEADERS = [
  "If-Match: *",
  'If-None-Match: "x", W/"y"',
  'If-Match: "',
  "Content-Type: application/merge-patch+json",
  "Content-Type: \x01",
  "Content-Encoding: gzip",
  "Expect: 100-continue",
  "Upgrade: websocket",
  "X-Request-Id: \t",
  "Last-Event-ID: 99999999999999999999",
  "Accept-Encoding: gzip, br, zstd;q=9",
  "Range: bytes=0-0,1-1,-5",
  "Authorization: Basic QQ==",
  "Host: a\r\nHost: b",
];

function request(dice: Dice, body: string, more = ""): string {
  const headers = Array.from({ length: dice.roll(4) }, () => `${dice.of(HEADERS)}\r\n`).join("");
  return `${dice.of(METHODS)} ${
    dice.of(TARGETS)
  } HTTP/1.1\r\n${AUTHORIZED}${headers}${more}Content-Length: ${body.length}\r\n` +
    `${LAST}${body}`;
}

/** Every kind of attack by its name. */
export const KINDS: Readonly<Record<string, (dice: Dice) => Plan>> = {
  "valid requests with odd headers and bodies": (dice) => ({ pieces: [request(dice, dice.of(BODIES))], end: "wait" }),
  "noise": (dice) => ({ pieces: [dice.bytes(1 + dice.roll(300))], end: "wait" }),
  "changed bytes": (dice) => {
    const text = request(dice, dice.of(BODIES));
    const at = dice.roll(text.length);
    return { pieces: [text.slice(0, at) + dice.bytes(1 + dice.roll(6)) + text.slice(at + dice.roll(8))], end: "wait" };
  },
  "cut anywhere": (dice) => {
    const text = request(dice, dice.of(BODIES));
    return { pieces: [text.slice(0, dice.roll(text.length))], end: dice.of(["wait", "hang_up"]) };
  },
  "half open": (dice) => ({ pieces: [request(dice, "").slice(0, 1 + dice.roll(60))], end: "stay" }),
  "in small pieces": (dice) => {
    const text = request(dice, dice.of(BODIES));
    const size = 1 + dice.roll(20);
    return {
      pieces: Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.substr(i * size, size)),
      end: "wait",
    };
  },
  "body shorter than said": (dice) => ({
    pieces: [`PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: ${10 + dice.roll(1e6)}\r\n\r\n{`],
    end: dice.of(["wait", "hang_up", "stay"]),
  }),
  "impossible lengths": (dice) => ({
    pieces: [
      `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Content-Length: ` +
      dice.of([
        "-1",
        "1e3",
        "0x10",
        "99999999999999999999",
        "1, 1",
        "1\r\nContent-Length: 2",
        " ",
        "+5",
        "18446744073709551615",
      ]) +
      `\r\n${LAST}{}`,
    ],
    end: "wait",
  }),
  "bad chunks": (dice) => ({
    pieces: [
      `PUT /entity/s?key=k HTTP/1.1\r\n${AUTHORIZED}Transfer-Encoding: ${
        dice.of(["chunked", "chunked, chunked", "gzip, chunked", "xchunked"])
      }\r\n` +
      dice.of(["", "Content-Length: 3\r\n"]) + "\r\n" +
      dice.of([
        "zz\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}",
        "-2\r\n{}\r\n",
        "2\r\n{}0\r\n\r\n",
        "2;ext=\0\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "7fffffff\r\n{}",
        `2\r\n{}\r\n0\r\n${"Trailer: x\r\n".repeat(dice.roll(500))}\r\n`,
        `2;${"e".repeat(dice.roll(20_000))}\r\n{}\r\n0\r\n\r\n`,
        "1\r\n1\r\n".repeat(dice.roll(2_000)) + "0\r\n\r\n",
      ]),
    ],
    end: dice.of(["wait", "hang_up"]),
  }),
  "header floods": (dice) => {
    const many = dice.of([10, 101, 1_000, 10_000]);
    const flood = dice.of([
      `X-A: ${"a".repeat(many)}\r\n`.repeat(dice.roll(20)),
      "X: y\r\n".repeat(many),
      `X-Long: ${"z".repeat(many * 40)}\r\n`,
      `${"N".repeat(many)}: v\r\n`,
      `Authorization: Bearer ${"t".repeat(many)}\r\n`,
      `If-None-Match: ${Array.from({ length: many }, (_, i) => `"${i}"`).join(",")}\r\n`,
      `Cookie: ${"c=d; ".repeat(many)}\r\n`,
    ]);
    return { pieces: [`GET /entity/s?key=k HTTP/1.1\r\nHost: s\r\n${flood}${LAST}`], end: "wait" };
  },
  "long targets": (dice) => ({
    pieces: [
      `GET /entity/${dice.of(["a", "%61", "/", "%"]).repeat(dice.roll(30_000))}?key=${
        dice.of(["k", "%C3", "&key=", "+"]).repeat(dice.roll(20_000))
      }` +
      ` HTTP/1.1\r\n${AUTHORIZED}${LAST}`,
    ],
    end: "wait",
  }),
  "pipelined": (dice) => ({
    pieces: [
      Array.from(
        { length: 2 + dice.roll(40) },
        () => request(dice, dice.of(BODIES)).replace(/Connection: close\r\n/, ""),
      ).join("") +
      `GET /health HTTP/1.1\r\nHost: s\r\n${LAST}`,
    ],
    end: dice.of(["listen", "listen", "hang_up"]),
  }),
  "smuggling": (dice) => ({
    pieces: [
      `POST /api/login HTTP/1.1\r\nHost: s\r\n` + dice.of([
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin/stats HTTP/1.1\r\nHost: s\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 44\r\n\r\nGET /admin/stats HTTP/1.1\r\nHost: s\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Foo: bar\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\r\n\r\n\r\nGET /admin/stats HTTP/1.1\r\n\r\n",
      ]),
    ],
    end: "wait",
  }),
  "other protocols": (dice) => ({
    pieces: [dice.of([
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.bytes(60),
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.bytes(300),
      "GET /health\r\n",
      "GET /health HTTP/0.9\r\n\r\n",
      "GET /health HTTP/9.9\r\n\r\n",
      "SSH-2.0-x\r\n",
      "*1\r\n$4\r\nPING\r\n",
      "\x00\x00\x00\x08\x04\xd2\x16\x2f",
    ])],
    end: dice.of(["wait", "hang_up"]),
  }),
  "gone before the answer": (dice) => ({
    pieces: [
      `GET ${
        dice.of(["/entities/s?values=true&limit=1000", "/admin/backup", "/docs", "/watch/s", "/openapi.json"])
      } HTTP/1.1\r\n${AUTHORIZED}\r\n`,
    ],
    end: "hang_up",
  }),
};

/** How long a connection is left open that says no more, and how long an answer is waited for. */
const STAY_MS = 500;
const ANSWER_MS = 20_000;
const LISTEN_MS = 2_000;

/** Sends a plan; answers the status codes that came back. */
async function send(port: number, { pieces, end }: Plan): Promise<number[]> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let answer = "";
  try {
    const reading = end === "wait" || end === "listen" ? readAll(connection, (text) => answer += text) : undefined;
    for (const piece of pieces) {
      let rest = Uint8Array.from(piece, (char) => char.charCodeAt(0));
      while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
    }
    if (end === "stay") await new Promise((resolve) => setTimeout(resolve, STAY_MS));
    if (reading !== undefined) {
      if (end === "wait") await connection.closeWrite().catch(() => {});
      const late = new Promise<void>((resolve, reject) => {
        if (end === "listen") timer = setTimeout(resolve, LISTEN_MS);
        else timer = setTimeout(() => reject(new Error("no answer and no end")), ANSWER_MS);
      });
      await Promise.race([reading, late]);
    }
  } catch (error) {
    // The server may well hang up on such a client.
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) throw error;
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch {
      // It is closed.
    }
  }
  return [...answer.matchAll(/^HTTP\/1\.[01] (\d{3})/gm)].map(([, code]) => Number(code));
}

async function readAll(connection: Deno.Conn, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder("latin1");
  const buffer = new Uint8Array(16 * 1024);
  // Status lines are what counts; a long answer's rest is not kept.
  for (let kept = 0;; kept++) {
    const size = await connection.read(buffer).catch(() => null);
    if (size === null) return;
    if (kept < 64) take(decoder.decode(buffer.subarray(0, size)));
  }
}

/** What was tried of one kind: connections, and how often each status was answered. */
export interface Tried {
  connections: number;
  readonly statuses: Map<number, number>;
}

/** So many connections are open at once. */
const PARALLEL = 16;

/** Attacks a server with so many connections, of every kind in turn. @throws when it does not answer any more. */
export async function attack(url: string, cases: number, dice: Dice): Promise<Map<string, Tried>> {
  const port = Number(new URL(url).port);
  const tried = new Map(
    Object.keys(KINDS).map((kind): [string, Tried] => [kind, { connections: 0, statuses: new Map() }]),
  );
  const kinds = Object.entries(KINDS);
  let next = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (next < cases) {
      const [kind, plan] = kinds[next++ % kinds.length]!;
      const statuses = await send(port, plan(dice)).catch((error) => {
        throw new Error(`${kind}: ${error.message}`, { cause: error });
      });
      const counts = tried.get(kind)!;
      counts.connections += 1;
      for (const status of statuses) counts.statuses.set(status, (counts.statuses.get(status) ?? 0) + 1);
    }
  }));
  return tried;
}

/** Asserts that nothing that was tried ended in an error of the server. */
export function assertNoServerError(tried: ReadonlyMap<string, Tried>): void {
  for (const [kind, { statuses }] of tried) {
    // 501 and 505 say that the server does not know a method or a version.
    const bad = [...statuses.keys()].filter((status) => status >= 500 && ![501, 503, 505].includes(status));
    assert.deepEqual(bad, [], kind);
  }
}

/** Memory of a process that is in use, in MiB. */
export async function residentMib(pid: number): Promise<number> {
  const [, pages] = (await Deno.readTextFile(`/proc/${pid}/statm`)).split(" ");
  return Number(pages) * 4 / 1024;
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      cases: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      threads: { type: "string", default: "1" },
    },
  });
  await using cluster = await Cluster.start({ mainFlags: [`-rest-threads=${values.threads}`] });
  const dice = new Dice(Number(values.seed));
  const cases = Number(values.cases);
  const rounds = 10;
  const all = new Map<string, Tried>();
  for (let round = 1; round <= rounds; round++) {
    for (const [kind, { connections, statuses }] of await attack(cluster.url, Math.ceil(cases / rounds), dice)) {
      const sum = all.get(kind) ?? { connections: 0, statuses: new Map<number, number>() };
      sum.connections += connections;
      for (const [status, n] of statuses) sum.statuses.set(status, (sum.statuses.get(status) ?? 0) + n);
      all.set(kind, sum);
    }
    console.log(`round ${round}: main worker ${(await residentMib(cluster.main.pid)).toFixed(0)} MiB`);
  }
  for (const [kind, { connections, statuses }] of all) {
    const answers = [...statuses].sort(([a], [b]) => a - b).map(([status, n]) => `${status}: ${n}`).join(", ");
    console.log(`${kind} | ${connections} | ${answers}`);
  }
  assertNoServerError(all);
  console.log(await (await fetch(`${cluster.url}/health`)).text());
}
