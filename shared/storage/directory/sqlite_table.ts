/** A partition's table in SQLite (`node:sqlite`). */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  DiskError,
  type DiskErrorCode,
  HEAD_BYTES,
  type PartitionTable,
  schemaPrefixOf,
  type TableChange,
  type TableOptions,
  type TableRange,
  type TableRow,
} from "./disk.ts";

const FORMAT = 1;

/**
 * Rows are found by an index of names, not kept in it: in a tree of names (`WITHOUT ROWID`) an envelope of more than about
 * 1,000 bytes spills into a page of its own, and the pages on the way to it hold envelopes too. (50,000 random rows of 1.3 KB,
 * the tree of names against this: 4,691 and 1,378 bytes a row in the file, 95 and 18 us to insert one, 74 and 29 to overwrite
 * it, 23 and 6 to read it.) Tables of the first stores are such trees; statements name their columns, so that they do for both.
 *
 * An envelope is `envelope || coalesce(rest, x'')`: a listing reads only `envelope`, its beginning, and not the pages
 * that the rest of a large one fills. Sequences are text: JavaScript's integers fit, SQLite's would not.
 */
const SCHEMA = `
CREATE TABLE entities (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL, rest BLOB) STRICT;
CREATE TABLE counts (prefix TEXT PRIMARY KEY, entities INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** What SQLite says, what that is, and the causes that it keeps to itself. */
const CODES: readonly (readonly [RegExp, DiskErrorCode, string?])[] = [
  [/is full/, "full"],
  [/malformed|not a database/, "damaged"],
  [/is locked|is busy/, "busy"],
  [/readonly/, "read_only"],
  [/unable to open/, "denied", "no permission, or too many open files"],
];

interface EntityRow {
  readonly envelope: Uint8Array;
  readonly rest: Uint8Array | null;
}

/** SQLite in WAL mode without shared memory; every transaction is synced before it counts. */
export class SqliteTable implements PartitionTable {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements: ReturnType<typeof prepare>;
  #appliedSequence: number;
  #applies: number;

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.#database = database;
    this.#statements = prepare(database);
    this.#appliedSequence = Number(this.#meta("applied_sequence"));
    this.#applies = Number(this.#meta("applies"));
  }

  /** Opens the database; an empty file is a table that is still to be made. @throws {DiskError} */
  static open(path: string, options: TableOptions): SqliteTable {
    return withErrors(path, () => {
      const database = new DatabaseSync(path);
      try {
        // The lock mode comes first: only then does WAL mode work without a file of shared memory.
        database.exec("PRAGMA locking_mode=EXCLUSIVE");
        const mode = database.prepare("PRAGMA journal_mode=WAL").get()?.journal_mode;
        if (mode !== "wal") throw new DiskError("failed", `${path}: SQLite can't keep a write-ahead log here`);
        database.exec("PRAGMA synchronous=FULL");
        database.exec(`PRAGMA cache_size=-${Math.ceil(options.cacheBytes / 1024)}`);
        const made = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() !== undefined;
        if (!made && !options.create) throw new DiskError("damaged", `${path}: holds no table, but should`);
        if (!made) make(database, options);
        const table = new SqliteTable(path, database);
        table.#check("format", FORMAT);
        table.#check("store", options.store);
        table.#check("partition", options.partition);
        return table;
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  get appliedSequence(): number {
    return this.#appliedSequence;
  }

  get(name: string): Uint8Array | undefined {
    return withErrors(this.#path, () => {
      const row = this.#statements.get.get(name) as EntityRow | undefined;
      return row && whole(row);
    });
  }

  has(name: string): boolean {
    return withErrors(this.#path, () => this.#statements.has.get(name) !== undefined);
  }

  list(range: TableRange): TableRow[] {
    // One lower bound, because SQLite would start at the first of two and walk to the second. Names have no such character.
    const from = range.exclusive ? `${range.from}\u0001` : range.from;
    return withErrors(this.#path, () => {
      // Never row by row: that ends without a word where SQLite meets an error (Deno 2.9.6), as if there were no more rows.
      return this.#statements.list.all(from, range.before, range.rowsMax) as unknown as TableRow[];
    });
  }

  counts(): Map<string, number> {
    return withErrors(this.#path, () => {
      const rows = this.#statements.counts.all() as unknown as { prefix: string; entities: number }[];
      return new Map(rows.map(({ prefix, entities }) => [prefix, entities]));
    });
  }

  // deno-lint-ignore require-await
  async apply(changes: readonly TableChange[], appliedSequence: number | undefined): Promise<void> {
    const { begin, commit, insert, update, remove, count, uncount, setMeta } = this.#statements;
    withErrors(this.#path, () => {
      const added = new Map<string, number>();
      begin.run();
      try {
        for (const { name, envelope } of changes) {
          let change: number;
          if (envelope === undefined) change = -Number(remove.run(name).changes);
          else {
            const head = envelope.subarray(0, HEAD_BYTES);
            const rest = envelope.length > HEAD_BYTES ? envelope.subarray(HEAD_BYTES) : null;
            change = Number(insert.run(name, head, rest).changes);
            if (change === 0) update.run(head, rest, name);
          }
          if (change !== 0) added.set(schemaPrefixOf(name), (added.get(schemaPrefixOf(name)) ?? 0) + change);
        }
        for (const [prefix, change] of added) {
          count.run(prefix, change);
          uncount.run(prefix);
        }
        // Always written, so that there is something to sync even when nothing else changes.
        setMeta.run(String(this.#applies + 1), "applies");
        if (appliedSequence !== undefined) setMeta.run(String(appliedSequence), "applied_sequence");
        commit.run();
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
        throw error;
      }
      this.#applies++;
      this.#appliedSequence = appliedSequence ?? this.#appliedSequence;
    });
  }

  // deno-lint-ignore require-await
  async close(): Promise<void> {
    withErrors(this.#path, () => this.#database.close());
  }

  #meta(name: string): string | undefined {
    return this.#statements.getMeta.get(name)?.value as string | undefined;
  }

  #check(name: string, expected: string | number): void {
    const value = this.#meta(name);
    if (value === String(expected)) return;
    throw new DiskError("damaged", `${this.#path}: its ${name} is ${value}, not ${expected}`);
  }
}

function make(database: DatabaseSync, options: TableOptions): void {
  database.exec(`BEGIN IMMEDIATE;${SCHEMA}`);
  const insert = database.prepare("INSERT INTO meta VALUES (?, ?)");
  const values = {
    format: FORMAT,
    store: options.store,
    partition: options.partition,
    applied_sequence: 0,
    applies: 0,
  };
  for (const [name, value] of Object.entries(values)) insert.run(name, String(value));
  database.exec("COMMIT");
}

function prepare(database: DatabaseSync): Record<
  | "begin"
  | "commit"
  | "get"
  | "has"
  | "list"
  | "counts"
  | "insert"
  | "update"
  | "remove"
  | "count"
  | "uncount"
  | "getMeta"
  | "setMeta",
  StatementSync
> {
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    commit: database.prepare("COMMIT"),
    get: database.prepare("SELECT envelope, rest FROM entities WHERE name = ?"),
    has: database.prepare("SELECT 1 FROM entities WHERE name = ?"),
    list: database.prepare(
      "SELECT name, length(envelope) + coalesce(length(rest), 0) AS size, envelope AS head " +
        "FROM entities WHERE name >= ? AND name < ? ORDER BY name LIMIT ?",
    ),
    counts: database.prepare("SELECT prefix, entities FROM counts"),
    insert: database.prepare("INSERT OR IGNORE INTO entities (name, envelope, rest) VALUES (?, ?, ?)"),
    update: database.prepare("UPDATE entities SET envelope = ?, rest = ? WHERE name = ?"),
    remove: database.prepare("DELETE FROM entities WHERE name = ?"),
    count: database.prepare(
      "INSERT INTO counts VALUES (?, ?) ON CONFLICT DO UPDATE SET entities = entities + excluded.entities",
    ),
    uncount: database.prepare("DELETE FROM counts WHERE prefix = ? AND entities = 0"),
    getMeta: database.prepare("SELECT value FROM meta WHERE name = ?"),
    setMeta: database.prepare("UPDATE meta SET value = ? WHERE name = ?"),
  };
}

function whole(row: EntityRow): Uint8Array {
  if (row.rest === null) return row.envelope;
  const bytes = new Uint8Array(row.envelope.length + row.rest.length);
  bytes.set(row.envelope);
  bytes.set(row.rest, row.envelope.length);
  return bytes;
}

/** Runs `work`; an error of SQLite becomes a {@linkcode DiskError}, by its message, the only thing that tells them apart. */
function withErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof DiskError || !(error instanceof Error)) throw error;
    const [, code = "failed", causes] = CODES.find(([pattern]) => pattern.test(error.message)) ?? [];
    const why = causes === undefined ? error.message : `${error.message} (${causes})`;
    throw new DiskError(code, `${path}: ${why}`, { cause: error });
  }
}
