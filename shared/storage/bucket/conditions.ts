/**
 * What an S3 service does with conditional requests, found out by trying, and in which spelling of an ETag.
 *
 * Known services differ in all of it: Ceph's gateway wants `If-Match` without quotes and ignores it on DELETE; some
 * honour `If-None-Match` only when nobody else writes at that moment; some create an object for an `If-Match`
 * that names one which is not there; some ignore every condition. A condition counts as honoured only if the
 * right one is obeyed, the wrong one refused, and one of several at once wins.
 */
import { S3_OPERATION_MS } from "../../limits.ts";
import type { Clock } from "../../seams/clock.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import { PROBE_PREFIX } from "./layout.ts";
import type { Condition, ETag, ObjectClient, PutAnswer } from "./object_client.ts";
import { ObjectError } from "./object_error.ts";
import { RequestFailure, type RequestKind, type Requests } from "./requests.ts";

/** What a service honours. */
export interface Conditions {
  /** `If-None-Match: *` creates an object only where there is none, also among concurrent requests. */
  readonly create: boolean;
  /** How `If-Match` must spell the ETag to replace exactly that state; `none`: it is not honoured. */
  readonly replace: "quoted" | "plain" | "none";
  /** `If-Match` on an object that is not there is refused. */
  readonly replaceNeedsObject: boolean;
  /** DELETE with `If-Match`, spelled as for `replace`, is refused when it is wrong. */
  readonly remove: boolean;
}

/** Everything is honoured: what AWS does. */
export const ALL_CONDITIONS: Conditions = { create: true, replace: "quoted", replaceNeedsObject: true, remove: true };

/** An ETag as the service wants it in a condition. */
export function spell(etag: ETag, spelling: "quoted" | "plain"): ETag {
  const plain = etag.replace(/^(W\/)?"(.*)"$/, "$2");
  return spelling === "quoted" ? `"${plain}"` : plain;
}

/**
 * What makes a write replace exactly the state `etag`, or create where there was none (`undefined`). `undefined` when the
 * service cannot be trusted with that condition.
 */
export function conditionOn(etag: ETag | undefined, { create, replace }: Conditions): Condition | undefined {
  if (etag === undefined) return create ? { ifNoneMatch: true } : undefined;
  return replace === "none" ? undefined : { ifMatch: spell(etag, replace) };
}

/** One sentence that names what is not guaranteed, or `undefined` when everything is. */
export function describeMissing(conditions: Conditions, place: string): string | undefined {
  if (!conditions.create && conditions.replace === "none") {
    return `${place} ignores conditional writes: two main workers, or two workers that both believe to own an ` +
      `entity, could overwrite each other's acknowledged writes`;
  }
  if (conditions.replace === "none") {
    return `${place} ignores If-Match: two workers that both believe to own an entity could overwrite each ` +
      `other's acknowledged writes, and a second main worker is not reliably kept out`;
  }
  if (!conditions.create) {
    return `${place} does not reliably honour If-None-Match: two workers that both believe to own an entity ` +
      `could both create it, and the first one's acknowledged write would be lost`;
  }
  if (!conditions.replaceNeedsObject) {
    return `${place} obeys If-Match for objects that are gone: a write could bring back an entity that another ` +
      `worker, which believes to own it too, has just deleted`;
  }
  if (!conditions.remove) {
    return `${place} ignores conditions on DELETE: a delete could remove a newer write of another worker that ` +
      `believes to own the same entity`;
  }
  return undefined;
}

const WRITERS = 6;
const ROUNDS_MAX = 3;
const encoder = new TextEncoder();

/** Thrown inside a round whose requests were disturbed: its results say nothing. */
class Disturbed extends Error {}

/**
 * Tries it out on objects under `locks/probe-…`, which it removes again.
 * @throws {RequestFailure} when the service does not answer
 */
export async function probeConditions(
  client: ObjectClient,
  requests: Requests,
  clock: Clock,
  random: Random,
): Promise<Conditions> {
  for (let round = 1;; round++) {
    const prober = new Prober(client, requests, clock, `${PROBE_PREFIX}${randomHex(random, 8)}`);
    try {
      return await prober.run();
    } catch (error) {
      if (!(error instanceof Disturbed)) throw error;
      if (round >= ROUNDS_MAX) throw error.cause;
    } finally {
      await prober.clean();
    }
  }
}

class Prober {
  readonly #client: ObjectClient;
  readonly #requests: Requests;
  readonly #deadline: number;
  readonly #key: string;
  #bodies = 0;

  constructor(client: ObjectClient, requests: Requests, clock: Clock, key: string) {
    this.#client = client;
    this.#requests = requests;
    this.#deadline = clock.monotonic() + S3_OPERATION_MS;
    this.#key = key;
  }

  /** One attempt: a repeated one would judge its own first attempt. A throttled one is repeated. */
  async #once<T>(kind: RequestKind, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return (await this.#requests.run(kind, attempt, { deadline: this.#deadline, attemptsMax: 1, lane: "aside" }))
        .value;
    } catch (error) {
      if (error instanceof RequestFailure && error.last.repeatable) throw new Disturbed("disturbed", { cause: error });
      throw error;
    }
  }

  /** A PUT with a body of its own; `refused` also when the service does not know or contends the condition. */
  async #put(suffix: string, condition: Condition): Promise<PutAnswer> {
    const body = encoder.encode(`probe ${++this.#bodies}`);
    return await this.#once("put", async (signal) => {
      try {
        return await this.#client.put(this.#key + suffix, body, condition, signal);
      } catch (error) {
        // In a race, a service may answer the losers with 409 or even 500; what counts is who was let through.
        if (error instanceof ObjectError && (error.kind === "unsupported" || error.kind === "contended")) {
          return { kind: "refused" };
        }
        throw error;
      }
    });
  }

  /** How many of several concurrent PUTs with one condition were let through; 2 stands for more than one. */
  async #winners(suffix: string, condition: Condition): Promise<number> {
    const answers = await Promise.allSettled(
      Array.from({ length: WRITERS }, () => this.#put(suffix, condition)),
    );
    const stored = answers.filter((answer) => answer.status === "fulfilled" && answer.value.kind === "stored").length;
    if (stored > 0) return stored;
    const failed = answers.find((answer) => answer.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return 0;
  }

  async #etag(suffix: string): Promise<ETag | undefined> {
    return (await this.#once("head", (signal) => this.#client.head(this.#key + suffix, signal)))?.etag;
  }

  async run(): Promise<Conditions> {
    const create = (await this.#put("-a", { ifNoneMatch: true })).kind === "stored" &&
      (await this.#put("-a", { ifNoneMatch: true })).kind === "refused" &&
      (await this.#winners("-b", { ifNoneMatch: true })) === 1;
    if (!create) {
      await this.#once(
        "put",
        (signal) => this.#client.put(this.#key + "-a", encoder.encode("probe"), undefined, signal),
      );
    }
    const replace = await this.#spelling();
    const replaceNeedsObject = replace === "none" ||
      (await this.#put("-c", { ifMatch: spell("0".repeat(32), replace) })).kind === "refused";
    return { create, replace, replaceNeedsObject, remove: replace !== "none" && await this.#removes(replace) };
  }

  async #spelling(): Promise<"quoted" | "plain" | "none"> {
    for (const spelling of ["quoted", "plain"] as const) {
      // A wrong one first: a service that ignores the condition would let the right one through as well.
      const wrong = await this.#put("-a", { ifMatch: spell("0123456789abcdef0123456789abcdef", spelling) });
      if (wrong.kind === "stored") continue;
      const etag = await this.#etag("-a");
      if (etag === undefined || etag === "") continue;
      const right = await this.#put("-a", { ifMatch: spell(etag, spelling) });
      if (right.kind === "refused") continue;
      const old = await this.#put("-a", { ifMatch: spell(etag, spelling) });
      if (old.kind === "stored") continue;
      if ((await this.#winners("-a", { ifMatch: spell(right.etag, spelling) })) === 1) return spelling;
    }
    return "none";
  }

  async #removes(spelling: "quoted" | "plain"): Promise<boolean> {
    const etag = await this.#etag("-a");
    if (etag === undefined) return false;
    const remove = (ifMatch: ETag) =>
      this.#once("delete", async (signal) => {
        try {
          return await this.#client.delete(this.#key + "-a", ifMatch, signal);
        } catch (error) {
          if (error instanceof ObjectError && error.kind === "unsupported") return "refused";
          throw error;
        }
      });
    if (await remove(spell("0".repeat(32), spelling)) === "deleted") return false;
    if (await this.#etag("-a") !== etag) return false;
    return await remove(spell(etag, spelling)) === "deleted" && await this.#etag("-a") === undefined;
  }

  /** Removes the objects; what a lost answer leaves behind is harmless, so nothing waits for it. */
  async clean(): Promise<void> {
    await Promise.allSettled(
      ["-a", "-b", "-c"].map((suffix) =>
        this.#requests.run("delete", (signal) => this.#client.delete(this.#key + suffix, undefined, signal), {
          deadline: this.#deadline,
          lane: "aside",
        })
      ),
    );
  }
}
