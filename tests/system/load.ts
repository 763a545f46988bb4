/**
 * Load over REST whose every call and answer is recorded, for the history checker: reads, writes, conditional writes, patches
 * and deletes of several clients on a few hundred keys, some of them hot.
 */
import { type Call, History, type Operation, type Told } from "../history/history.ts";
import { check, normalized, type Verdict } from "../history/linearizable.ts";
import { ADMIN_KEY } from "./cluster.ts";

/** Where to send requests; the address may change, the credential may be a session's token. */
export interface Target {
  readonly url: string;
  readonly credential?: string;
}

/** How a load behaves. */
export interface LoadOptions {
  readonly clients: number;
  readonly keys: number;
  /** Random numbers in `[0, 1)`. */
  readonly random: () => number;
  /** Milliseconds that a client waits between two requests, at most. */
  readonly pauseMs: number;
  /** A key's history is judged when it has about so many operations, and the key is not used any more. */
  readonly operationsPerKey: number;
}

/** What the load has come to. */
export interface LoadSummary {
  readonly operations: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly keysJudged: number;
  /** Keys whose history was too entangled to be decided. */
  readonly undecided: number;
  /** Sentences; empty: everything was as it must be. */
  readonly violations: readonly string[];
}

const SCHEMA = "load";
/** A client's patience; the server answers within its own deadline of 10 s. */
const PATIENCE_MS = 30_000;
/** Requests go to a few keys as often as to all the others. */
const HOT_KEYS = 4;
const HOT_SHARE = 0.3;
const CHECK_STEPS_MAX = 200_000;
const READ_BACK_MS = 90_000;

/** Why a call was refused or its outcome is unknown, for whoever reads of a violation. */
const reasons = new WeakMap<Told, string>();

function because(told: Told, why: string): Told {
  reasons.set(told, `${new Date().toISOString()} ${why}`);
  return told;
}

/** A key in use. */
interface Slot {
  key: string;
  history: History;
  busy: number;
  retired: boolean;
}

export class Load {
  readonly #target: () => Target;
  readonly #options: LoadOptions;
  readonly #slots: Slot[];
  readonly #running: Promise<void>[];
  readonly #violations: string[] = [];
  /** What a key that was judged must still hold: its entity tag, or that it is absent. */
  readonly #settled = new Map<string, string | null>();
  /**
   * Without connections that are used again: Deno's fetch sends a request that it had sent on such a one once more, on a new
   * one, when it breaks. A write would happen twice, and "connection refused" would not mean that it never did.
   */
  readonly #http = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  #stopping = false;
  #keys = 0;
  #operations = 0;
  #acknowledged = 0;
  #refused = 0;
  #unknown = 0;
  #judged = 0;
  #undecided = 0;

  constructor(target: () => Target, options: LoadOptions) {
    this.#target = target;
    this.#options = options;
    this.#slots = Array.from({ length: options.keys }, () => this.#newSlot());
    this.#running = Array.from({ length: options.clients }, (_, client) => this.#run(client));
  }

  get operations(): number {
    return this.#operations;
  }

  /** Ends the load, reads every key back, and judges all that happened. Call it when the cluster is whole again. */
  async stop(): Promise<LoadSummary> {
    this.#stopping = true;
    await Promise.all(this.#running);
    for (const slot of this.#slots) await this.#judge(slot);
    for (const [key, expected] of this.#settled) {
      const told = await this.#readBack(key);
      const actual = told.kind === "found" ? told.etag : null;
      if (actual !== expected) {
        this.#violations.push(`${key}: was ${expected ?? "absent"} when last seen, is ${actual}`);
      }
    }
    this.#http.close();
    return {
      operations: this.#operations,
      acknowledged: this.#acknowledged,
      refused: this.#refused,
      unknown: this.#unknown,
      keysJudged: this.#judged,
      undecided: this.#undecided,
      violations: this.#violations,
    };
  }

  #newSlot(): Slot {
    return { key: `key-${this.#keys++}`, history: new History(), busy: 0, retired: false };
  }

  async #run(client: number): Promise<void> {
    const { random, pauseMs, operationsPerKey } = this.#options;
    const seen = new Map<Slot, string>();
    for (let n = 0; !this.#stopping; n++) {
      await new Promise((resolve) => setTimeout(resolve, random() ** 2 * pauseMs));
      const hot = random() < HOT_SHARE ? HOT_KEYS : this.#slots.length;
      const index = Math.floor(random() * Math.min(hot, this.#slots.length));
      const slot = this.#slots[index]!;
      slot.busy += 1;
      const told = await this.#perform(slot, client, this.#draw(client, n, seen.get(slot)));
      slot.busy -= 1;
      if (told.kind === "found" || told.kind === "stored") seen.set(slot, told.etag);
      if (slot.history.operations.length >= operationsPerKey && !slot.retired) {
        slot.retired = true;
        this.#slots[index] = this.#newSlot();
      }
      if (slot.retired) seen.delete(slot);
      if (slot.retired && slot.busy === 0) await this.#judge(slot);
      // Not hammering a door that is closed.
      if (told.kind === "refused" || told.kind === "unknown") await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #draw(client: number, n: number, etag: string | undefined): Call {
    const { random } = this.#options;
    const dice = random();
    const unique = `${client}.${n}`;
    const conditional = etag !== undefined && random() < 0.3 ? { ifMatch: etag } : {};
    if (dice < 0.4) return { kind: "get" };
    if (dice < 0.75) {
      const padding = random() < 0.1 ? { p: "x".repeat(Math.floor(random() * 20_000)) } : {};
      const condition = random() < 0.1 ? { ifAbsent: true } : conditional;
      return { kind: "put", value: JSON.stringify({ ...padding, w: unique }), ...condition };
    }
    if (dice < 0.9) return { kind: "patch", field: `c${client}`, value: unique };
    return { kind: "delete", ...conditional };
  }

  async #perform(slot: Slot, client: number, call: Call): Promise<Told> {
    this.#operations += 1;
    const answer = slot.history.call(client, slot.key, call);
    const told = await this.#request(slot.key, call);
    answer(told);
    if (told.kind === "stored" || told.kind === "deleted") this.#acknowledged += 1;
    if (told.kind === "refused") this.#refused += 1;
    if (told.kind === "unknown") this.#unknown += 1;
    return told;
  }

  /** Reads a key a last time and checks its whole history. */
  async #judge(slot: Slot): Promise<void> {
    const answer = slot.history.call(-1, slot.key, { kind: "get" });
    const told = await this.#readBack(slot.key);
    answer(told);
    const { operations } = slot.history;
    const verdict = check(operations, CHECK_STEPS_MAX);
    this.#judged += 1;
    if (verdict.kind === "undecided") this.#undecided += 1;
    if (verdict.kind === "violation") {
      this.#violations.push(`${slot.key}: not linearizable\n${explain(verdict, operations)}`);
    }
    const open = operations.some((o) => o.call.kind !== "get" && o.told.kind === "unknown");
    if (!open && told.kind !== "unknown") this.#settled.set(slot.key, told.kind === "found" ? told.etag : null);
  }

  #request(key: string, call: Call): Promise<Told> {
    return request(this.#http, this.#target(), key, call, this.#violations);
  }

  async #readBack(key: string): Promise<Told> {
    const until = Date.now() + READ_BACK_MS;
    for (;;) {
      const told = await this.#request(key, { kind: "get" });
      if (told.kind === "found" || told.kind === "absent") return told;
      if (Date.now() > until) {
        this.#violations.push(`${key}: could not be read for ${READ_BACK_MS / 1000} s`);
        return told;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** One call over REST, and what it means for the checker. */
async function request(
  client: Deno.HttpClient,
  { url, credential = ADMIN_KEY }: Target,
  key: string,
  call: Call,
  faults: string[],
): Promise<Told> {
  const headers = new Headers({ authorization: `Bearer ${credential}` });
  if ("ifMatch" in call && call.ifMatch !== undefined) headers.set("if-match", `"${call.ifMatch}"`);
  if (call.kind === "put" && call.ifAbsent) headers.set("if-none-match", "*");
  if (call.kind === "patch") headers.set("content-type", "application/merge-patch+json");
  const body = call.kind === "put"
    ? call.value
    : call.kind === "patch"
    ? JSON.stringify({ [call.field]: call.value })
    : undefined;
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${url}/entity/${SCHEMA}?key=${key}`, {
      method: call.kind.toUpperCase(),
      headers,
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(PATIENCE_MS),
      client,
    });
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException) faults.push(`${key}: ${call.kind} had no answer after ${PATIENCE_MS / 1000} s`);
    // Without a connection nothing was sent.
    const refused = error instanceof TypeError && /connection refused/i.test(`${error.message} ${error.cause}`);
    return because({ kind: refused ? "refused" : "unknown" }, `${error} ${(error as Error).cause ?? ""}`);
  }
  return translate(key, call, response, text, faults);
}

function translate(key: string, call: Call, response: Response, text: string, faults: string[]): Told {
  const { status } = response;
  const etag = response.headers.get("etag")?.replaceAll('"', "");
  if (status === 200 && call.kind === "get" && etag) {
    return { kind: "found", value: normalized(text), version: Number(response.headers.get("x-entity-version")), etag };
  }
  if (status === 200 && (call.kind === "put" || call.kind === "patch") && etag) {
    return { kind: "stored", version: JSON.parse(text).version, etag };
  }
  // Of a delete that was sent again on the way it is not known which one removed the entity.
  if (status === 200 && call.kind === "delete") return { kind: "deleted", existed: undefined };
  if (status === 404 && (call.kind === "get" || call.kind === "patch")) return { kind: "absent" };
  if (status === 412) return { kind: "mismatch" };
  if (status === 503) return because({ kind: "refused" }, text);
  if (status === 504) return because({ kind: "unknown" }, text);
  faults.push(`${key}: ${call.kind} was answered with ${status}: ${text.slice(0, 300)}`);
  return { kind: "unknown" };
}

function explain(verdict: Extract<Verdict, { kind: "violation" }>, all: readonly Operation[]): string {
  const short = (value: unknown) => JSON.stringify(value).replace(/x{20,}/g, "x…");
  const line = (o: (typeof verdict.placed)[number]) =>
    `    client ${o.client} [${o.called}, ${o.answered}] ${short(o.call)} → ${short(o.told)}`;
  return [
    `  a register would be at ${verdict.state.replace(/x{20,}/g, "x…")} after`,
    ...verdict.placed.slice(-8).map(line),
    "  and then could not have answered any of",
    ...verdict.stuck.slice(0, 10).map(line),
    "  refused, or with an unknown outcome, were",
    ...all.filter((o) => o.call.kind !== "get" && reasons.has(o.told)).slice(-20).map((o) =>
      `${line(o)} ${reasons.get(o.told)}`
    ),
  ].join("\n");
}
