/** A partition that this process owns: its table, and over it the changes that wait for a checkpoint. */
import { type EntityName } from "../../names.ts";
import { type Clock, sleep } from "../../seams/clock.ts";
import { type Listed, type NameQuery, StorageError } from "../store.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { DirtyMap } from "./dirty_map.ts";
import { type PartitionTable, schemaPrefixOf, type TableChange, type TableRow, tableRow } from "./disk.ts";
import { type FileLock } from "./file_lock.ts";
import { cleanContent } from "./lock_content.ts";
import { type Recovered } from "./recovery.ts";
import { runtimeError } from "./storage_errors.ts";

/** Greater than every character of a storage name. */
const AFTER_NAMES = "\u007f";
/** Rows that are read at a time, because that is done on the thread that serves; a row is 4 KiB at most. */
const LIST_STEP_ROWS = 256;
/** A checkpoint in the background takes a quarter of the thread's time at most. */
const PAUSE_FACTOR = 3;
const PAUSE_MS_MAX = 50;

/** How a checkpoint spaces its transactions out, so that requests come through between them. */
export type Pace = "in_background" | "at_once";

/** Everything of one owned partition. The engine around it makes writes durable before it calls `write`. */
export class OwnedPartition {
  readonly #table: PartitionTable;
  readonly #lock: FileLock;
  readonly #clock: Clock;
  readonly #bounds: DirectoryBounds;
  readonly #writer: string;
  readonly #holder: string;
  /** By schema prefix; `undefined` after a recovery, until a checkpoint: to look each recovered name up takes too long. */
  #counts: Map<string, number> | undefined;
  #current = new DirtyMap();
  /** What a checkpoint is writing; `#current` lies over it. */
  #frozen: DirtyMap | undefined;
  #frozenSequence = 0;
  /** Sequence of the newest record that can be read. */
  #visibleSequence: number;
  #appliedSequence: number;
  #turn: Promise<unknown> = Promise.resolve();
  #inherited: boolean;
  /** The table has more than the lock file says that it has. */
  #isAhead = false;
  #closed = false;

  /** The next record's sequence. */
  nextSequence: number;
  /** Commits that were accepted and are not answered yet. */
  pending = 0;
  /** Resolves the wait for the last pending commit. */
  onIdle: (() => void) | undefined;
  /** Accepts commits; ends when the partition is being released. */
  open = true;

  constructor(
    readonly index: number,
    parts: {
      table: PartitionTable;
      lock: FileLock;
      clock: Clock;
      bounds: DirectoryBounds;
      writer: string;
      holder: string;
      /** Whether the lock file names other writers, or an earlier ownership of this one. */
      inherited: boolean;
    },
  ) {
    this.#table = parts.table;
    this.#lock = parts.lock;
    this.#clock = parts.clock;
    this.#bounds = parts.bounds;
    this.#writer = parts.writer;
    this.#holder = parts.holder;
    this.#inherited = parts.inherited;
    this.#counts = parts.table.counts();
    this.#appliedSequence = this.#visibleSequence = parts.table.appliedSequence;
    this.nextSequence = this.#visibleSequence + 1;
  }

  get dirtyEntities(): number {
    return this.#current.size + (this.#frozen?.size ?? 0);
  }

  get dirtyBytes(): number {
    return this.#current.bytes + (this.#frozen?.bytes ?? 0);
  }

  /** Whether a checkpoint has something to do: changes to write, or earlier writers to take off the lock file. */
  get needsCheckpoint(): boolean {
    return this.#inherited || this.#isAhead || this.#current.size > 0 || this.#frozen !== undefined;
  }

  /** Takes over what earlier owners acknowledged and did not checkpoint. */
  takeOver({ changes, last }: Recovered): void {
    if (changes.size > 0) this.#counts = undefined;
    for (const [name, envelope] of changes) this.#current.set(name, envelope);
    this.#visibleSequence = last;
    this.nextSequence = last + 1;
  }

  /** What is durably there under a name. */
  read(name: string): Uint8Array | undefined {
    const dirty = this.#dirty(name);
    return dirty === undefined ? this.#table.get(name) : dirty.envelope;
  }

  /** Whether the table holds an entity that is to be written; `undefined` when {@linkcode write} needs no answer. */
  lookUp(name: string): boolean | undefined {
    if (this.#counts === undefined || this.#dirty(name) !== undefined) return undefined;
    try {
      return this.#table.has(name);
    } catch {
      this.#counts = undefined;
      return undefined;
    }
  }

  /** Makes a durable change readable. `inTable`: what {@linkcode lookUp} said while it was made durable. */
  write(name: string, envelope: Uint8Array | undefined, sequence: number, inTable: boolean | undefined): void {
    const before = this.#dirty(name);
    this.#current.set(name, envelope);
    this.#visibleSequence = sequence;
    if (this.#counts === undefined) return;
    if (before === undefined && inTable === undefined) {
      this.#counts = undefined;
      return;
    }
    const existed = before === undefined ? inTable : before.envelope !== undefined;
    addCount(this.#counts, name, Number(envelope !== undefined) - Number(existed));
  }

  /** Entities by schema prefix. @throws {StorageError} */
  async counts(): Promise<Map<string, number>> {
    while (this.#counts === undefined) {
      this.#assertOpen();
      await this.#inTurn(async () => {
        if (this.#frozen !== undefined) await this.#writeFrozen("in_background");
        if (this.#counts !== undefined) return;
        this.#freeze();
        await this.#writeFrozen("in_background");
      }).catch((error) => {
        throw runtimeError(`can't count partition ${this.index}`, error);
      });
    }
    return new Map(this.#counts);
  }

  /** Lists the beginnings of envelopes in byte order of names, reading the table page by page with a pause in between. */
  async list(query: NameQuery): Promise<Listed[]> {
    const listed: Listed[] = [];
    const before = query.prefix + AFTER_NAMES;
    let exclusive = query.after !== undefined && query.after >= query.prefix;
    let from = exclusive ? query.after! : query.prefix;
    while (listed.length < query.limit && from < before) {
      this.#assertOpen();
      const rowsMax = Math.min(query.limit - listed.length, LIST_STEP_ROWS);
      const rows = this.#table.list({ from, exclusive, before, rowsMax });
      const end = rows.length < rowsMax ? undefined : rows.at(-1)!.name;
      for (const { name, size, head } of this.#overlay(rows, from, exclusive, end, before)) {
        if (listed.length === query.limit) return listed;
        listed.push({ name: name as EntityName, size, envelope: head });
      }
      if (end === undefined) return listed;
      from = end;
      exclusive = true;
      if (listed.length < query.limit) await sleep(this.#clock, 0);
    }
    return listed;
  }

  /** A page of the table with the changes in its range over it; without a page, the changes up to `before`. */
  *#overlay(
    rows: readonly TableRow[],
    from: string,
    exclusive: boolean,
    end: string | undefined,
    before: string,
  ): Generator<TableRow> {
    const cursors = [this.#current, this.#frozen].filter((map) => map !== undefined).map((map) => {
      const names = map.names();
      let at = map.indexFrom(from);
      if (exclusive && names[at] === from) at++;
      return { names, at };
    });
    const inRange = (name: string | undefined) =>
      name !== undefined && name < before && (end === undefined || name <= end) ? name : undefined;
    for (let row = 0;;) {
      let name = rows[row]?.name;
      for (const { names, at } of cursors) {
        const other = inRange(names[at]);
        if (other !== undefined && (name === undefined || other < name)) name = other;
      }
      if (name === undefined) return;
      const dirty = this.#dirty(name);
      if (dirty === undefined) yield rows[row]!;
      else if (dirty.envelope !== undefined) yield tableRow(name, dirty.envelope);
      if (rows[row]?.name === name) row++;
      for (const cursor of cursors) if (cursor.names[cursor.at] === name) cursor.at++;
    }
  }

  #dirty(name: string): { readonly envelope: Uint8Array | undefined } | undefined {
    return this.#current.get(name) ?? this.#frozen?.get(name);
  }

  /** Calls `work` when earlier calls of this method have ended. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /**
   * Writes into the table every change that is readable now, and says so in the lock file, which names no earlier writers then.
   * @throws {StorageError} and keeps what is not written for the next call.
   */
  checkpoint(pace: Pace): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#closed) return;
      try {
        if (this.#frozen !== undefined) await this.#writeFrozen(pace);
        if (this.#current.size > 0 || this.#inherited) {
          this.#freeze();
          await this.#writeFrozen(pace);
        }
        // Before the logs go that held it: a table that has lost something since is found out by what the lock file remembers.
        if (this.#inherited || this.#isAhead) {
          await this.#lock.write({ holder: this.#holder, writers: [this.#writer], settled: this.#appliedSequence });
          this.#inherited = false;
          this.#isAhead = false;
        }
      } catch (error) {
        throw runtimeError(`can't checkpoint partition ${this.index}`, error);
      }
    });
  }

  #freeze(): void {
    this.#frozen = this.#current;
    this.#frozenSequence = this.#visibleSequence;
    this.#current = new DirtyMap();
  }

  /** Checkpoints what was recovered, and makes this writer the only one that the lock file names. @throws {StorageError} */
  claim(): Promise<void> {
    this.#inherited = true;
    return this.checkpoint("at_once");
  }

  /** In steps; only the last one sets the applied sequence, so a crash in between repeats them all, to the same end. */
  async #writeFrozen(pace: Pace): Promise<void> {
    const frozen = this.#frozen!;
    let step: TableChange[] = [];
    let bytes = 0;
    for (const name of frozen.names()) {
      const { envelope } = frozen.get(name)!;
      if (step.length === this.#bounds.stepRows || bytes > this.#bounds.stepBytes) {
        await this.#apply(step, undefined, pace);
        step = [];
        bytes = 0;
      }
      step.push({ name, envelope });
      bytes += name.length + (envelope?.length ?? 0);
    }
    await this.#apply(step, this.#frozenSequence, pace);
    this.#appliedSequence = this.#frozenSequence;
    this.#isAhead = true;
    this.#frozen = undefined;
    if (this.#counts === undefined) this.#recount();
  }

  /** The table's own counts, and what the changes over it add; those are few right after a checkpoint. */
  #recount(): void {
    const counts = this.#table.counts();
    for (const name of this.#current.names()) {
      const present = this.#current.get(name)!.envelope !== undefined;
      addCount(counts, name, Number(present) - Number(this.#table.has(name)));
    }
    this.#counts = counts;
  }

  #assertOpen(): void {
    if (this.#closed) throw new StorageError("unavailable", `partition ${this.index} was given up`);
  }

  /** A transaction, and in the background a pause that is longer than it took, which leaves the thread to requests. */
  async #apply(step: readonly TableChange[], applied: number | undefined, pace: Pace): Promise<void> {
    const start = this.#clock.monotonic();
    await this.#table.apply(step, applied);
    const pauseMs = Math.min(PAUSE_FACTOR * (this.#clock.monotonic() - start), PAUSE_MS_MAX);
    await sleep(this.#clock, pace === "at_once" || !this.open ? 0 : pauseMs);
  }

  /**
   * Makes the partition clean: everything in the table, nobody named in the lock file. No sequence may be in doubt.
   * @throws {StorageError} and it stays as it is.
   */
  async clean(): Promise<void> {
    await this.checkpoint("at_once");
    await this.#inTurn(async () => {
      try {
        await this.#lock.write(cleanContent(this.#appliedSequence));
      } catch (error) {
        throw runtimeError(`can't release partition ${this.index} cleanly`, error);
      }
    });
  }

  /** Takes back the sequences that were given to a group of which nothing will ever be found. */
  giveBackSequences(): void {
    this.nextSequence = this.#visibleSequence + 1;
  }

  /** Closes the table and gives the lock back, whatever the lock file says. */
  async close(): Promise<void> {
    this.open = false;
    await this.#inTurn(async () => {
      this.#closed = true;
      try {
        await this.#table.close();
      } finally {
        this.#lock.close();
      }
    });
  }
}

function addCount(counts: Map<string, number>, name: string, change: number): void {
  if (change === 0) return;
  const prefix = schemaPrefixOf(name);
  const count = (counts.get(prefix) ?? 0) + change;
  if (count === 0) counts.delete(prefix);
  else counts.set(prefix, count);
}
