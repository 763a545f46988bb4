/**
 * The keys of a schema as a list that grows by pages while somebody scrolls. Pages far from the view are forgotten and
 * fetched again when they are needed, so a million keys never sit in memory. Writes by others are worked in as they happen.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { EntityPage, EntityRow, WatchData } from "../api/types.ts";
import { compareKeys } from "../format/storage_name.ts";

/** A row, and whether it changed while it was on the screen. */
export interface KeyRow extends EntityRow {
  /** Milliseconds since the epoch. */
  readonly changedAtMs?: number;
}

interface Page {
  /** Cursor that the page starts after; empty: the first. */
  readonly cursor: string;
  /** `null`: forgotten, or being fetched again. */
  rows: KeyRow[] | null;
  size: number;
  /** First and last key, for working in writes by others. */
  lastKey: string;
  usedAt: number;
}

const FIRST_PAGE = 100;
const NEXT_PAGE = 250;
const PAGES_KEPT = 96;
/** How close to the end of what is known the view may come before the next page is fetched. */
const AHEAD = 400;

/** The keys of one schema that start with one prefix. */
export class KeyList {
  readonly #client: Client;
  readonly #schema: string;
  readonly #prefix: string;
  readonly #pages: Page[] = [];
  readonly #revision = signal(0);
  readonly #state = signal<"loading" | "ready" | "failed">("loading");
  readonly #error = signal<unknown>(null);
  #next: string | null = "";
  #fetching = false;
  #controller = new AbortController();
  #clock = 0;

  constructor(client: Client, schema: string, prefix: string) {
    this.#client = client;
    this.#schema = schema;
    this.#prefix = prefix;
    this.#more();
  }

  /** Changes whenever a row may have changed. */
  get revision(): ReadonlySignal<number> {
    return this.#revision;
  }

  get state(): ReadonlySignal<"loading" | "ready" | "failed"> {
    return this.#state;
  }

  get error(): ReadonlySignal<unknown> {
    return this.#error;
  }

  /** Rows whose place is known. */
  get known(): number {
    return this.#pages.reduce((sum, page) => sum + page.size, 0);
  }

  /** Whether there is nothing after the known rows. */
  get complete(): boolean {
    return this.#next === null;
  }

  /** A row, or `undefined` while it is being fetched. */
  row(index: number): KeyRow | undefined {
    let start = 0;
    for (const page of this.#pages) {
      if (index < start + page.size) return page.rows?.[index - start];
      start += page.size;
    }
    return undefined;
  }

  /** Index of a key among the rows that are in memory, or -1. */
  indexOf(key: string): number {
    let start = 0;
    for (const page of this.#pages) {
      const at = page.rows?.findIndex((row) => row.key === key) ?? -1;
      if (at >= 0) return start + at;
      start += page.size;
    }
    return -1;
  }

  /** Tells which rows are visible: they, and some after them, are fetched. */
  visible(first: number, last: number): void {
    this.#clock++;
    let start = 0;
    for (const page of this.#pages) {
      const end = start + page.size;
      if (end > first && start <= last) {
        page.usedAt = this.#clock;
        if (page.rows === null) this.#again(page);
      }
      start = end;
    }
    if (last + AHEAD > start && this.#next !== null && this.#state.value !== "failed") this.#more();
  }

  /** Fetches again after a failure. */
  retry(): void {
    if (this.#state.value === "failed") this.#more();
  }

  /** Works in a write by whoever. Returns how the number of documents changed, as far as this list can tell. */
  apply(kind: "put" | "delete", data: WatchData): void {
    if (!data.key.startsWith(this.#prefix)) return;
    const page = this.#pageOf(data.key);
    if (!page?.rows) return;
    const at = page.rows.findIndex((row) => row.key === data.key);
    if (kind === "delete") {
      if (at >= 0) page.rows.splice(at, 1);
    } else {
      const now = new Date();
      const row: KeyRow = {
        key: data.key,
        version: data.version,
        size: at >= 0 ? page.rows[at]!.size : null,
        updated_at: now.toISOString(),
        changedAtMs: now.getTime(),
      };
      if (at >= 0) page.rows[at] = row;
      else {
        const before = page.rows.findIndex((other) => compareKeys(other.key, data.key) > 0);
        page.rows.splice(before < 0 ? page.rows.length : before, 0, row);
      }
    }
    page.size = page.rows.length;
    this.#revision.value++;
  }

  close(): void {
    this.#controller.abort();
  }

  #pageOf(key: string): Page | undefined {
    const page = this.#pages.find((candidate) => compareKeys(key, candidate.lastKey) <= 0);
    return page ?? (this.#next === null ? this.#pages.at(-1) : undefined);
  }

  async #more(): Promise<void> {
    if (this.#fetching || this.#next === null) return;
    this.#fetching = true;
    const cursor = this.#next;
    try {
      const answer = await this.#fetch(cursor, cursor === "" ? FIRST_PAGE : NEXT_PAGE);
      this.#next = answer.next_cursor;
      this.#pages.push({
        cursor,
        rows: [...answer.keys],
        size: answer.keys.length,
        lastKey: answer.keys.at(-1)?.key ?? "",
        usedAt: ++this.#clock,
      });
      this.#forget();
      this.#state.value = "ready";
      this.#error.value = null;
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#error.value = error;
      this.#state.value = "failed";
    } finally {
      this.#fetching = false;
    }
    this.#revision.value++;
  }

  async #again(page: Page): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      const rows: EntityRow[] = [];
      let cursor: string | null = page.cursor;
      while (cursor !== null) {
        const answer: EntityPage = await this.#fetch(cursor, NEXT_PAGE);
        const inside = answer.keys.filter(({ key }) => compareKeys(key, page.lastKey) <= 0);
        rows.push(...inside);
        cursor = inside.length < answer.keys.length ? null : answer.next_cursor;
        if (inside.at(-1)?.key === page.lastKey) cursor = null;
      }
      page.rows = rows;
      page.size = rows.length;
      page.usedAt = ++this.#clock;
      this.#forget();
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#error.value = error;
    } finally {
      this.#fetching = false;
    }
    this.#revision.value++;
  }

  #forget(): void {
    const held = this.#pages.filter((page) => page.rows !== null).sort((a, b) => a.usedAt - b.usedAt);
    for (const page of held.slice(0, Math.max(0, held.length - PAGES_KEPT))) page.rows = null;
  }

  #fetch(cursor: string, limit: number): Promise<EntityPage> {
    const parameters = new URLSearchParams({ limit: String(limit) });
    if (this.#prefix !== "") parameters.set("prefix", this.#prefix);
    if (cursor !== "") parameters.set("cursor", cursor);
    const path = `/entities/${encodeURIComponent(this.#schema)}?${parameters}`;
    return this.#client.json<EntityPage>(path, { signal: this.#controller.signal });
  }
}
