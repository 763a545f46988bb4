/** Entity access of one processing worker: takes partitions, commits groups of writes, checkpoints them. */
import { LOG_RECORD_BYTES_MAX, TABLE_CACHE_BYTES } from "../../limits.ts";
import { type EntityName, type Partition } from "../../names.ts";
import { type Clock, type Timer } from "../../seams/clock.ts";
import { type Random, randomHex } from "../../seams/random.ts";
import {
  type CommitOutcome,
  type Entities,
  type EntitiesStats,
  type EntityWrite,
  type Listed,
  type NameQuery,
  StorageError,
  type Stored,
  type TakeOutcome,
} from "../store.ts";
import { type DirectoryBounds } from "./bounds.ts";
import { type Disk, DiskError, type PartitionTable } from "./disk.ts";
import { type ReportEvent } from "./events.ts";
import { FileLock, probeExclusion, readLockContent } from "./file_lock.ts";
import { collectGarbage } from "./garbage.ts";
import { type Layout } from "./layout.ts";
import { OwnedPartition } from "./owned_partition.ts";
import { encodeRecords, envelopesIn, recordBytes } from "./record.ts";
import { Recovery } from "./recovery.ts";
import { runtimeError, startUpError } from "./storage_errors.ts";
import { WriterLog } from "./writer_log.ts";

const NAME_LENGTH_MAX = 1_024;
const TABLE_CACHE_BYTES_MIN = 64 * 1024;
const CLOSE_PARALLEL = 4;
const CHECKPOINT_RETRY_MS_MAX = 30_000;

/** What the engine needs of its store. */
export interface EntitiesParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly layout: Layout;
  readonly store: string;
  readonly partitions: number;
  readonly holder: string;
  readonly bounds: DirectoryBounds;
  readonly report: ReportEvent;
  readonly onClosed: (entities: DirectoryEntities) => void;
}

interface PendingWrite {
  readonly partition: OwnedPartition;
  readonly name: string;
  readonly envelope: Uint8Array | undefined;
  readonly bytes: number;
  inTable: boolean | undefined;
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

const COMMITTED: CommitOutcome = { kind: "committed", token: undefined };

/**
 * The directory engine's {@linkcode Entities}.
 *
 * An envelope that is handed to `commit`, or comes from `read` or `list`, is shared with the engine: nobody may change it.
 */
export class DirectoryEntities implements Entities {
  /** A read costs next to nothing here, and a commit compares nothing: the partition's lock keeps others out. */
  readonly blindCreate = false;
  readonly exclusive = true;
  readonly #parts: EntitiesParts;
  readonly #bounds: DirectoryBounds;
  readonly #log: WriterLog;
  readonly #recovery: Recovery;
  readonly #owned = new Map<number, OwnedPartition>();
  /** Partitions that were given up, or not quite taken, while their lock files may name this writer. */
  readonly #abandoned = new Set<number>();
  readonly #partitionTurns = new Map<number, Promise<unknown>>();
  #logTurn: Promise<unknown> = Promise.resolve();

  /** The last group failed; it is reported once, however many follow. */
  #logFailing = false;
  #queue: PendingWrite[] = [];
  #queueBytes = 0;
  #pumping: Promise<void> | undefined;
  /** Partitions of the group whose fate is open until the log was repaired. */
  #doubtful: ReadonlySet<OwnedPartition> = new Set();

  #checkpointing: Promise<void> | undefined;
  #checkpointAgain = false;
  #checkpointFailures = 0;
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #onRoom: (() => void) | undefined;
  #checkpoints = 0;
  #closing: Promise<void> | undefined;

  private constructor(parts: EntitiesParts, log: WriterLog) {
    this.#parts = parts;
    this.#bounds = parts.bounds;
    this.#log = log;
    const { disk, clock, layout, store } = parts;
    this.#recovery = new Recovery({ disk, clock, directory: layout.logs, store });
  }

  /** Starts a new writer. @throws {StorageError} */
  static async open(parts: EntitiesParts): Promise<DirectoryEntities> {
    const { disk, clock, random, layout, store } = parts;
    let log: WriterLog | undefined;
    try {
      log = await WriterLog.open(randomHex(random, 16), { disk, clock, random, directory: layout.logs, store });
      await probeExclusion(disk, log.path!);
      const entities = new DirectoryEntities(parts, log);
      // Logs of dead workers are looked for then, if there was nothing to do before.
      entities.#scheduleCheckpoint(parts.bounds.checkpointMs);
      return entities;
    } catch (error) {
      await log?.close(true).catch(() => {});
      throw startUpError(`can't use the store in ${layout.root}`, error);
    }
  }

  take(partition: Partition): Promise<TakeOutcome> {
    return this.#inPartitionTurn(partition, () => this.#take(partition));
  }

  release(partition: Partition): Promise<void> {
    return this.#inPartitionTurn(partition, () => this.#release(partition));
  }

  // deno-lint-ignore require-await
  async read(partition: Partition, name: EntityName): Promise<Stored | undefined> {
    const owned = this.#own(partition);
    try {
      const envelope = owned.read(name);
      return envelope && { envelope, token: undefined };
    } catch (error) {
      throw runtimeError(`can't read partition ${partition}`, error);
    }
  }

  // deno-lint-ignore require-await
  async commit(write: EntityWrite): Promise<CommitOutcome> {
    const partition = this.#own(write.partition);
    if (!partition.open) throw new StorageError("unavailable", `partition ${write.partition} is being given up`);
    const { name } = write;
    const size = write.envelope?.length ?? 0;
    if (name.length === 0 || name.length > NAME_LENGTH_MAX || size > LOG_RECORD_BYTES_MAX) {
      throw new RangeError(`a write of ${size} bytes under a name of ${name.length} is not possible`);
    }
    const bytes = recordBytes(name.length, size);
    if (this.#queueBytes + bytes > this.#bounds.queueBytes) {
      throw new StorageError("unavailable", "too many writes wait");
    }
    partition.pending++;
    this.#queueBytes += bytes;
    return new Promise<CommitOutcome>((resolve, reject) => {
      this.#queue.push({ partition, name, envelope: write.envelope, bytes, inTable: undefined, resolve, reject });
      this.#pumping ??= this.#pump();
    });
  }

  async list(partition: Partition, query: NameQuery): Promise<Listed[]> {
    const owned = this.#own(partition);
    try {
      return await owned.list(query);
    } catch (error) {
      throw runtimeError(`can't list partition ${partition}`, error);
    }
  }

  async counts(partition: Partition): Promise<Map<string, number>> {
    return await this.#own(partition).counts();
  }

  stats(): EntitiesStats {
    let dirtyEntities = 0;
    for (const partition of this.#owned.values()) dirtyEntities += partition.dirtyEntities;
    return {
      logBytes: this.#log.bytes,
      dirtyEntities,
      dirtyBytes: this.#dirtyBytes,
      syncs: this.#log.syncs,
      syncSecondsTotal: this.#log.syncSeconds,
      checkpoints: this.#checkpoints,
      requests: 0,
      retries: 0,
    };
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  // Owning

  async #take(index: number): Promise<TakeOutcome> {
    if (this.#closing !== undefined) return { kind: "unavailable", detail: "the store is being closed" };
    if (this.#owned.has(index)) return { kind: "taken", recovered: 0 };
    let lock: FileLock;
    try {
      const outcome = await FileLock.tryLock(this.#parts.disk, this.#parts.layout.lock(index));
      if (outcome.kind === "held") return outcome;
      lock = outcome.lock;
    } catch (error) {
      return takeFailure(index, error);
    }
    let table: PartitionTable | undefined;
    try {
      table = await this.#openTable(index, lock.settled === undefined);
      const settled = lock.settled ?? 0;
      if (table.appliedSequence < settled) {
        const path = this.#parts.layout.table(index);
        const states = `it ends at change ${table.appliedSequence}, and the lock file remembers change ${settled}`;
        throw new DiskError("damaged", `${path} is an older state: ${states}`);
      }
      return { kind: "taken", recovered: await this.#recover(index, lock, table) };
    } catch (error) {
      await table?.close().catch(() => {});
      lock.close();
      return takeFailure(index, error);
    }
  }

  async #recover(index: number, lock: FileLock, table: PartitionTable): Promise<number> {
    const { clock, holder, report } = this.#parts;
    const writer = this.#log.writer;
    // Without a readable content any writer's log may hold records of the partition: all of them are read. An empty
    // file is a new store's, or somebody emptied it.
    const writers = lock.found?.writers ?? [...await this.#recovery.writers()].sort();
    if (lock.found === undefined && !lock.isEmpty) {
      report({ kind: "lock_content_damaged", partition: index, message: `${lock.path}: reading all logs` });
    }
    const found = await this.#recovery.recover(writers, index, table.appliedSequence, lock.found !== undefined);
    const inherited = writers.length > 0 || lock.found === undefined;
    const partition = new OwnedPartition(index, {
      table,
      lock,
      clock,
      bounds: this.#bounds,
      writer,
      holder,
      inherited,
    });
    partition.takeOver(found);
    const crowded = writers.length >= this.#bounds.writers ||
      this.#dirtyBytes + partition.dirtyBytes > this.#bounds.dirtyBytes / 2;
    this.#abandoned.add(index);
    if (lock.found === undefined || writers.includes(writer) || crowded) await partition.claim();
    else {
      // Not the table's own sequence: a killed owner may have left that unsynced.
      await lock.write({ holder, writers: [...writers, writer], settled: lock.found.settled ?? 0 });
    }
    this.#abandoned.delete(index);
    this.#owned.set(index, partition);
    if (partition.needsCheckpoint) this.#scheduleCheckpoint(this.#bounds.checkpointMs);
    const recovered = found.changes.size;
    if (recovered > 0) {
      report({ kind: "recovered", partition: index, message: `${recovered} entities; logs read: ${writers.length}` });
    }
    return recovered;
  }

  #openTable(index: number, create: boolean): Promise<PartitionTable> {
    const { disk, layout, store, partitions } = this.#parts;
    const cacheBytes = Math.max(TABLE_CACHE_BYTES_MIN, Math.floor(TABLE_CACHE_BYTES / partitions));
    return disk.openTable(layout.table(index), { create, store, partition: index, cacheBytes });
  }

  async #release(index: number): Promise<void> {
    const partition = this.#own(index);
    partition.open = false;
    if (partition.pending > 0) await new Promise<void>((resolve) => partition.onIdle = resolve);
    try {
      // Otherwise the next owner finds a group in the log that this writer takes out of it later.
      if (this.#doubtful.has(partition)) await this.#inLogTurn(() => this.#repairLog());
      await partition.clean();
    } catch (error) {
      if (this.#doubtful.has(partition) && this.#closing === undefined) {
        partition.open = true;
        throw error;
      }
      if (!(error instanceof StorageError)) throw error;
      this.#abandoned.add(index);
      this.#parts.report({ kind: "released_unclean", partition: index, message: error.message });
    }
    this.#owned.delete(index);
    await partition.close().catch((error) => this.#reportCleanup(error));
    this.#roomMade();
  }

  #own(index: number): OwnedPartition {
    const partition = this.#owned.get(index);
    if (partition === undefined) throw new StorageError("unavailable", `partition ${index} is not owned here`);
    return partition;
  }

  #inPartitionTurn<T>(index: number, work: () => Promise<T>): Promise<T> {
    const result = (this.#partitionTurns.get(index) ?? Promise.resolve()).then(work);
    const turn = result.catch(() => {}).then(() => {
      if (this.#partitionTurns.get(index) === turn) this.#partitionTurns.delete(index);
    });
    this.#partitionTurns.set(index, turn);
    return result;
  }

  // Committing

  /** Writes group after group: whatever came while one was being synced is the next one. Never rejects. */
  async #pump(): Promise<void> {
    // Lets the commits of the same turn of the event loop share the first group.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      if (this.#overfull) await this.#waitForRoom();
      else {
        const group = this.#nextGroup();
        await this.#inLogTurn(() => this.#writeGroup(group));
      }
    }
    this.#pumping = undefined;
  }

  #nextGroup(): PendingWrite[] {
    let bytes = 0;
    let end = 0;
    while (end < this.#queue.length && (end === 0 || bytes + this.#queue[end]!.bytes <= this.#bounds.groupBytes)) {
      bytes += this.#queue[end++]!.bytes;
    }
    const group = this.#queue.slice(0, end);
    this.#queue = this.#queue.slice(end);
    return group;
  }

  async #writeGroup(group: readonly PendingWrite[]): Promise<void> {
    const partitions = new Set<OwnedPartition>();
    try {
      if (this.#log.broken) await this.#repairLog();
      const records = group.map(({ partition, name, envelope }) => {
        partitions.add(partition);
        return { partition: partition.index, sequence: partition.nextSequence++, name, envelope };
      });
      const frame = encodeRecords(records);
      await this.#log.append(frame, () => {
        for (const write of group) write.inTable = write.partition.lookUp(write.name);
      });
      // Kept until the checkpoint in one piece, as they were written: a buffer for each is work for the collector.
      const envelopes = envelopesIn(frame, records);
      group.forEach((write, index) => {
        write.partition.write(write.name, envelopes[index], records[index]!.sequence, write.inTable);
      });
    } catch (error) {
      if (this.#log.uncertain && partitions.size > 0) this.#doubtful = partitions;
      else for (const partition of partitions) partition.giveBackSequences();
      if (!this.#logFailing) this.#parts.report({ kind: "log_failed", message: messageOf(error) });
      this.#logFailing = true;
      this.#settle(group, (write) => write.reject(error));
      // A retired file may be in doubt: a checkpoint gets rid of it.
      if (this.#log.retired.length > 0 && this.#checkpointFailures === 0) {
        this.#scheduleCheckpoint(this.#bounds.checkpointRetryMs);
      }
      return;
    }
    this.#settle(group, (write) => write.resolve(COMMITTED));
    if (this.#logFailing) this.#parts.report({ kind: "log_recovered", message: "a group of writes went through" });
    this.#logFailing = false;
    if (this.#checkpointFailures > 0) return;
    if (this.#isCheckpointDue) this.#startCheckpoint();
    else this.#scheduleCheckpoint(this.#bounds.checkpointMs);
  }

  #settle(group: readonly PendingWrite[], answer: (write: PendingWrite) => void): void {
    for (const write of group) {
      this.#queueBytes -= write.bytes;
      write.partition.pending--;
      answer(write);
      if (write.partition.pending === 0) write.partition.onIdle?.();
    }
  }

  /** Starts a new log file after a failed sync; then it is certain that nothing of the failed group counts. */
  async #repairLog(): Promise<void> {
    await this.#log.repair();
    for (const partition of this.#doubtful) partition.giveBackSequences();
    this.#doubtful = new Set();
  }

  /** Calls `work` when nobody else writes the log. */
  #inLogTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#logTurn.then(work);
    this.#logTurn = result.catch(() => {});
    return result;
  }

  get #dirtyBytes(): number {
    let bytes = 0;
    for (const partition of this.#owned.values()) bytes += partition.dirtyBytes;
    return bytes;
  }

  get #overfull(): boolean {
    return this.#log.bytes > this.#bounds.logBytes || this.#dirtyBytes > this.#bounds.dirtyBytes;
  }

  #overfullError(): StorageError {
    return new StorageError("unavailable", "too many writes wait for a checkpoint, and it makes no room");
  }

  /**
   * Waits until a checkpoint made room; refuses what waits when it can't. A whole one that makes none is followed by
   * others in vain: the log then waits for a partition's next owner, who still needs it.
   */
  async #waitForRoom(): Promise<void> {
    // The first may have begun before there was too much.
    const enough = this.#checkpoints + 2;
    while (this.#overfull) {
      if (this.#checkpointFailures > 0 || this.#closing !== undefined || this.#checkpoints >= enough) {
        const refused = this.#queue;
        this.#queue = [];
        this.#settle(refused, (write) => write.reject(this.#overfullError()));
        return;
      }
      const room = new Promise<void>((resolve) => this.#onRoom = resolve);
      this.#startCheckpoint();
      await room;
    }
  }

  #roomMade(): void {
    this.#onRoom?.();
    this.#onRoom = undefined;
  }

  // Checkpointing

  #scheduleCheckpoint(ms: number): void {
    const { clock } = this.#parts;
    const dueMs = clock.monotonic() + ms;
    if (this.#closing !== undefined || (this.#timer !== undefined && this.#timer.dueMs <= dueMs)) return;
    this.#stopTimer();
    const timer = clock.setTimer(() => {
      this.#timer = undefined;
      this.#startCheckpoint();
    }, ms);
    this.#timer = { timer, dueMs };
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#parts.clock.clearTimer(this.#timer.timer);
    this.#timer = undefined;
  }

  #startCheckpoint(): void {
    if (this.#closing !== undefined) return;
    if (this.#checkpointing !== undefined) {
      this.#checkpointAgain = true;
      return;
    }
    this.#stopTimer();
    this.#checkpointAgain = false;
    this.#checkpointing = this.#checkpoint().finally(() => {
      this.#checkpointing = undefined;
      this.#roomMade();
      if (this.#checkpointAgain && this.#checkpointFailures === 0) this.#startCheckpoint();
      else if (this.#checkpointFailures > 0) {
        const ms = this.#bounds.checkpointRetryMs * 2 ** (this.#checkpointFailures - 1);
        this.#scheduleCheckpoint(Math.min(ms, CHECKPOINT_RETRY_MS_MAX));
      } else if (this.#needsCheckpoint) this.#scheduleCheckpoint(this.#bounds.checkpointMs);
    });
  }

  /** Whether there is enough for one. Changes in memory count if none is under way, for that is writing them. */
  get #isCheckpointDue(): boolean {
    const { checkpointBytes, checkpointDirtyBytes } = this.#bounds;
    return this.#log.currentBytes >= checkpointBytes ||
      (this.#checkpointing === undefined && this.#dirtyBytes >= checkpointDirtyBytes);
  }

  get #needsCheckpoint(): boolean {
    return this.#log.hasRecords || this.#log.retired.length > 0 || this.#abandoned.size > 0 ||
      [...this.#owned.values()].some((partition) => partition.needsCheckpoint);
  }

  /** Moves everything acknowledged so far into the tables, then removes the logs that held it. Never rejects. */
  async #checkpoint(): Promise<void> {
    const { report } = this.#parts;
    try {
      await this.#inLogTurn(() => this.#rotate());
      const covered = [...this.#log.retired];
      for (const partition of [...this.#owned.values()]) {
        if (this.#closing !== undefined) return;
        await partition.checkpoint(this.#overfull ? "at_once" : "in_background");
        this.#roomMade();
      }
      if (await this.#settleAbandoned()) await this.#log.remove(covered);
      this.#checkpoints++;
      if (this.#checkpointFailures > 0) report({ kind: "checkpoint_recovered", message: "a checkpoint went through" });
      this.#checkpointFailures = 0;
    } catch (error) {
      this.#checkpointFailures++;
      report({ kind: "checkpoint_failed", message: messageOf(error) });
      return;
    }
    await this.#collectGarbage();
  }

  /** A failing checkpoint is tried again and again; it must not leave a file behind each time. */
  async #rotate(): Promise<void> {
    if (this.#log.broken) return await this.#repairLog();
    const worthwhile = this.#log.retired.length === 0 || this.#log.currentBytes >= this.#bounds.checkpointBytes;
    if (this.#log.hasRecords && worthwhile) await this.#log.rotate();
  }

  /** Cleans partitions that were given up unclean, if they still name this writer. Whether none is left that does. */
  async #settleAbandoned(): Promise<boolean> {
    const { disk, layout } = this.#parts;
    for (const index of [...this.#abandoned]) {
      await this.#inPartitionTurn(index, async () => {
        if (!this.#abandoned.has(index) || this.#owned.has(index)) return;
        const content = await readLockContent(disk, layout.lock(index));
        if (content !== undefined && !content.writers.includes(this.#log.writer)) this.#abandoned.delete(index);
        else if ((await this.#take(index)).kind === "taken") await this.#release(index);
      });
    }
    return this.#abandoned.size === 0;
  }

  /** Not having removed a dead worker's log harms nobody: it is tried again after the next checkpoint. */
  async #collectGarbage(): Promise<void> {
    const { disk, layout, partitions } = this.#parts;
    try {
      await collectGarbage(disk, layout, partitions, (writer) => writer === this.#log.writer);
    } catch (error) {
      this.#reportCleanup(error);
    }
  }

  #reportCleanup(error: unknown): void {
    this.#parts.report({ kind: "cleanup_failed", message: messageOf(error) });
  }

  // Closing

  async #close(): Promise<void> {
    this.#stopTimer();
    for (const partition of this.#owned.values()) partition.open = false;
    await this.#checkpointing;
    this.#stopTimer();
    await this.#pumping;
    await Promise.all(this.#partitionTurns.values());
    const left = [...this.#owned.keys()];
    const closer = async () => {
      for (let index = left.pop(); index !== undefined; index = left.pop()) {
        const partition = index;
        await this.#inPartitionTurn(partition, async () => {
          if (this.#owned.has(partition)) await this.#release(partition);
        });
      }
    };
    await Promise.all(Array.from({ length: CLOSE_PARALLEL }, closer));
    try {
      await this.#log.close(await this.#nobodyNeedsLog());
    } catch (error) {
      this.#reportCleanup(error);
    }
    this.#recovery.close();
    this.#parts.onClosed(this);
  }

  async #nobodyNeedsLog(): Promise<boolean> {
    const { disk, layout } = this.#parts;
    for (const index of this.#abandoned) {
      const content = await readLockContent(disk, layout.lock(index));
      if (content === undefined || content.writers.includes(this.#log.writer)) return false;
    }
    return true;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function takeFailure(index: number, error: unknown): TakeOutcome {
  const failure = runtimeError(`can't take partition ${index}`, error);
  const detail = failure.message;
  return failure.reason === "corrupt" ? { kind: "corrupt", detail } : { kind: "unavailable", detail };
}
