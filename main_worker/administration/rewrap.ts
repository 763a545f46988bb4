/**
 * Re-encryption of everything under the current key, in the background: a partition after the other, at the owners and under
 * their ordering, a few at a time so that clients do not feel it. A mark in the store lets a restarted main worker go on.
 */
import { REWRAP_PARALLEL } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { sleep } from "../../shared/seams/clock.ts";
import { type Shelf, StorageError } from "../../shared/storage/store.ts";
import type { ListItem } from "../../shared/wire/messages.ts";
import type { Dispatcher } from "../front/dispatch/dispatcher.ts";
import type { Lister, Listing } from "../front/dispatch/lister.ts";
import type { Operations } from "../front/dispatch/operations.ts";
import type { RewrapProgress } from "../front/rest/admin_operations.ts";
import { listingsOf } from "./backup.ts";
import { passes } from "./patience.ts";

/** Object on the `_auth` shelf while a re-encryption is under way. */
export const REWRAP_MARK_OBJECT = "rewrap.json";
const PAGE = 256;
const RETRY_MS = 1_000;

export interface RewrapParts {
  readonly dispatcher: Pick<Dispatcher, "submit">;
  readonly operations: Operations;
  readonly lister: Lister;
  readonly listing: "owners" | "store";
  readonly clock: Clock;
  readonly log: Logger;
  readonly shelf: Shelf;
  readonly keyId: string;
  readonly partitions: number;
  /** Called when a re-encryption has ended, with what it ended in. */
  readonly onFinished: (result: "done" | "failed") => void;
}

type Progress = { -readonly [K in keyof RewrapProgress]: RewrapProgress[K] };

export class Rewrap {
  readonly #parts: RewrapParts;
  readonly #stopping = new AbortController();
  #progress: Progress;
  #running: Promise<void> | undefined;
  #arrived = false;

  constructor(parts: RewrapParts) {
    this.#parts = parts;
    this.#progress = {
      status: "idle",
      key_id: parts.keyId,
      scanned: 0,
      rewrapped: 0,
      failed: 0,
      total: null,
      started_at: null,
      finished_at: null,
    };
  }

  get progress(): RewrapProgress {
    return { ...this.#progress };
  }

  /** Goes on with what an earlier start of the main worker began. @throws {StorageError} */
  async resume(): Promise<void> {
    if (await this.#parts.shelf.get(REWRAP_MARK_OBJECT) !== undefined) await this.start();
  }

  /** Envelopes came in that may be under an old key, perhaps behind the place where the re-encryption is: it looks again. */
  arrived(): void {
    this.#arrived = true;
  }

  /** Starts, or lets the one that runs go on. @throws {StorageError} when the mark cannot be stored. */
  async start(): Promise<RewrapProgress> {
    if (this.#progress.status === "running") return this.progress;
    const { clock, shelf, keyId, log } = this.#parts;
    this.#progress = {
      status: "running",
      key_id: keyId,
      scanned: 0,
      rewrapped: 0,
      failed: 0,
      total: null,
      started_at: new Date(clock.now()).toISOString(),
      finished_at: null,
    };
    const progress = this.#progress;
    try {
      await shelf.put(REWRAP_MARK_OBJECT, new TextEncoder().encode(JSON.stringify({ key_id: keyId }) + "\n"));
    } catch (error) {
      Object.assign(progress, { status: "failed", error: "the store did not take the mark of the re-encryption" });
      throw error;
    }
    this.#running = this.#run(progress).catch((error) => {
      if (this.#stopping.signal.aborted) return;
      log.error("rewrap_failed", { error });
      Object.assign(progress, { status: "failed", error: "the re-encryption broke off; the log says why" });
      this.#parts.onFinished("failed");
    });
    return this.progress;
  }

  /** Begins nothing more and waits for no operation that is under way; a later start goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the main worker stops"));
    await this.#running;
  }

  async #run(progress: Progress): Promise<void> {
    const { clock, log, onFinished } = this.#parts;
    progress.total = await this.#count();
    do {
      this.#arrived = false;
      Object.assign(progress, { scanned: 0, failed: 0 });
      await this.#pass(progress);
    } while (this.#arrived);
    await this.#unmark();
    progress.total = progress.scanned;
    if (progress.failed > 0) {
      progress.error = `${progress.failed} entities could not be re-encrypted; start it again to try those`;
    }
    progress.finished_at = new Date(clock.now()).toISOString();
    const result = progress.failed === 0 ? "done" : "failed";
    progress.status = result;
    log.audit("rewrap_finished", {
      result,
      scanned: progress.scanned,
      rewrapped: progress.rewrapped,
      failed: progress.failed,
    });
    onFinished(result);
  }

  /** Entities in the store, where it can tell. */
  async #count(): Promise<number | null> {
    const page = await this.#patiently({ prefix: "", after: "", limit: 0, want: "counts" });
    const total = [...page.counts?.values() ?? [NaN]].reduce((a, b) => a + b, 0);
    return Number.isFinite(total) ? total : null;
  }

  /** Looks at every entity once. */
  async #pass(progress: Progress): Promise<void> {
    const { listing, partitions } = this.#parts;
    for (const some of listingsOf(listing, partitions)) {
      for (let after = "", more = true; more;) {
        const page = await this.#patiently({ prefix: "", after, limit: PAGE, want: "meta", ...some });
        await this.#rewrapAll(page.items, progress);
        after = page.items.at(-1)?.name ?? "";
        more = page.more && after !== "";
      }
    }
  }

  /** A page; where nobody can give it now, somebody will again. */
  async #patiently(listing: Listing) {
    const { lister, clock } = this.#parts;
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      const page = await lister.page(listing);
      if (page.kind === "page") return page;
      await sleep(clock, RETRY_MS, this.#stopping.signal);
    }
  }

  async #unmark(): Promise<void> {
    const { shelf, clock, log } = this.#parts;
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      try {
        await shelf.delete(REWRAP_MARK_OBJECT);
        return;
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        log.warn("rewrap_mark_left", { error });
      }
      await sleep(clock, RETRY_MS, this.#stopping.signal);
    }
  }

  async #rewrapAll(items: readonly ListItem[], progress: Progress): Promise<void> {
    const waiting = items.filter(({ keyId }) => keyId !== this.#parts.keyId);
    progress.scanned += items.length - waiting.length;
    const next = waiting.values();
    await Promise.all(Array.from({ length: REWRAP_PARALLEL }, async () => {
      for (const item of next) await this.#rewrapOne(item, progress);
    }));
  }

  async #rewrapOne({ name }: ListItem, progress: Progress): Promise<void> {
    const { dispatcher, operations, clock } = this.#parts;
    const op = operations.named("rewrap", name, {});
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      const { outcome } = await dispatcher.submit(op, undefined);
      const code = outcome.kind === "failed" ? outcome.code : undefined;
      if (passes(code)) {
        await sleep(clock, RETRY_MS, this.#stopping.signal);
        continue;
      }
      progress.scanned += 1;
      if (outcome.kind === "stored") progress.rewrapped += 1;
      else if (code !== undefined && code !== "not_found") progress.failed += 1;
      return;
    }
  }
}
