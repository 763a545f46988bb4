/**
 * Re-encryption of everything under the current key, in the background: a partition after the other, at the owners and under
 * their ordering, a few at a time so that clients do not feel it. A mark in the store lets a restarted main worker go on.
 */
import { REWRAP_PARALLEL } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import type { Clock } from "../../shared/seams/clock.ts";
import { sleep } from "../../shared/seams/clock.ts";
import type { Shelf } from "../../shared/storage/store.ts";
import type { ListItem } from "../../shared/wire/messages.ts";
import type { Dispatcher } from "../front/dispatch/dispatcher.ts";
import type { Lister } from "../front/dispatch/lister.ts";
import type { Operations } from "../front/dispatch/operations.ts";
import type { RewrapProgress } from "../front/rest/admin_operations.ts";

/** Object on the `_auth` shelf while a re-encryption is under way. */
const MARK_OBJECT = "rewrap.json";
const PAGE = 256;
const RETRY_MS = 1_000;

export interface RewrapParts {
  readonly dispatcher: Dispatcher;
  readonly operations: Operations;
  readonly lister: Lister;
  readonly clock: Clock;
  readonly log: Logger;
  readonly shelf: Shelf;
  readonly keyId: string;
  readonly partitions: number;
}

type Progress = { -readonly [K in keyof RewrapProgress]: RewrapProgress[K] };

export class Rewrap {
  readonly #parts: RewrapParts;
  readonly #stopping = new AbortController();
  #progress: Progress;
  #running: Promise<void> | undefined;

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
    if (await this.#parts.shelf.get(MARK_OBJECT) !== undefined) await this.start();
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
      await shelf.put(MARK_OBJECT, new TextEncoder().encode(JSON.stringify({ key_id: keyId }) + "\n"));
    } catch (error) {
      Object.assign(progress, { status: "failed", error: "the store did not take the mark of the re-encryption" });
      throw error;
    }
    this.#running = this.#run(progress).catch((error) => {
      if (this.#stopping.signal.aborted) return;
      log.error("rewrap_failed", { error });
      Object.assign(progress, { status: "failed", error: "the re-encryption broke off; the log says why" });
    });
    return this.progress;
  }

  /** Stops; a later start goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the main worker stops"));
    await this.#running;
  }

  async #run(progress: Progress): Promise<void> {
    const { lister, partitions, clock, shelf, log } = this.#parts;
    const counts = await lister.page({ prefix: "", after: "", limit: 0, want: "counts" });
    if (counts.kind === "page" && counts.counts) {
      progress.total = [...counts.counts.values()].reduce((a, b) => a + b, 0);
    }
    for (let partition = 0; partition < partitions; partition++) {
      for (let after = "", more = true; more;) {
        this.#stopping.signal.throwIfAborted();
        const page = await lister.page({
          prefix: "",
          after,
          limit: PAGE,
          want: "meta",
          partitions: [partition as Partition],
        });
        if (page.kind === "failed") {
          // Without an owner now; it will have one again.
          await sleep(clock, RETRY_MS, this.#stopping.signal);
          continue;
        }
        await this.#rewrapAll(page.items, progress);
        after = page.items.at(-1)?.name ?? "";
        more = page.more && after !== "";
      }
    }
    progress.status = progress.failed === 0 ? "done" : "failed";
    if (progress.failed > 0) {
      progress.error = `${progress.failed} entities could not be re-encrypted; start it again to try those`;
    }
    progress.finished_at = new Date(clock.now()).toISOString();
    await shelf.delete(MARK_OBJECT);
    log.audit("rewrap_finished", { scanned: progress.scanned, rewrapped: progress.rewrapped, failed: progress.failed });
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
    for (;;) {
      this.#stopping.signal.throwIfAborted();
      const { outcome } = await dispatcher.submit(operations.named("rewrap", name, {}), undefined);
      const code = outcome.kind === "failed" ? outcome.code : undefined;
      if (code === "no_worker" || code === "overloaded" || code === "storage_unavailable" || code === "deadline") {
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
