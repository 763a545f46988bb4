/** The table in SQLite behaves as a sorted map with exact counts, and a transaction that fails leaves nothing. */
import assert from "assert";
import fc from "fast-check";
import { DatabaseSync } from "node:sqlite";
import { DiskError, HEAD_BYTES, type PartitionTable, schemaPrefixOf, type TableRow, tableRow } from "./disk.ts";
import { systemDisk } from "./system_disk.ts";

const OPTIONS = { create: true, store: "0".repeat(32), partition: 3, cacheBytes: 1 << 20 };
const NAMES = ["a_", "a_1", "a_10", "a_2", "a_b", "b%5F_1", "b_1", "b_2"];
const EVERYTHING = { from: "", exclusive: false, before: "\u007f", rowsMax: 100 };

async function withTable(work: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "deltadb-test-" });
  try {
    await work(`${directory}/03.db`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function rowsOf(model: ReadonlyMap<string, Uint8Array>): TableRow[] {
  const rows = [...model].map(([name, envelope]) => tableRow(name, envelope));
  return rows.sort((a, b) => a.name < b.name ? -1 : 1);
}

function assertSame(table: PartitionTable, model: ReadonlyMap<string, Uint8Array>, applied: number): void {
  const rows = rowsOf(model);
  // SQLite's rows have no prototype.
  assert.deepEqual(table.list(EVERYTHING).map((row) => ({ ...row })), rows);
  for (const name of NAMES) {
    assert.deepEqual(table.get(name), model.get(name));
    assert.equal(table.has(name), model.has(name));
  }
  const counts = new Map<string, number>();
  for (const { name } of rows) counts.set(schemaPrefixOf(name), (counts.get(schemaPrefixOf(name)) ?? 0) + 1);
  assert.deepEqual(table.counts(), counts);
  assert.equal(table.appliedSequence, applied);
}

/** Makes the table of entities as the first stores have it. */
function asTreeOfNames(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`DROP TABLE entities;
    CREATE TABLE entities (name TEXT PRIMARY KEY, envelope BLOB NOT NULL, rest BLOB) STRICT, WITHOUT ROWID`);
  database.close();
}

async function anyChanges(prepare: (path: string) => void): Promise<void> {
  await withTable(async (path) => {
    const size = fc.oneof(fc.nat(40), fc.constantFrom(HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, 3 * HEAD_BYTES));
    const envelope = fc.option(fc.tuple(size, fc.nat(255)).map(([bytes, fill]) => new Uint8Array(bytes).fill(fill)), {
      nil: undefined,
    });
    const change = fc.record({ name: fc.constantFrom(...NAMES), envelope });
    await (await systemDisk.openTable(path, OPTIONS)).close();
    prepare(path);
    let table = await systemDisk.openTable(path, { ...OPTIONS, create: false });
    const model = new Map<string, Uint8Array>();
    let applied = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(change), fc.boolean(), fc.boolean(), async (changes, setsApplied, reopens) => {
        if (setsApplied) applied += changes.length;
        await table.apply(changes, setsApplied ? applied : undefined);
        for (const { name, envelope } of changes) {
          if (envelope === undefined) model.delete(name);
          else model.set(name, envelope);
        }
        assertSame(table, model, applied);
        if (reopens) {
          await table.close();
          table = await systemDisk.openTable(path, { ...OPTIONS, create: false });
          assertSame(table, model, applied);
        }
      }),
      { numRuns: 40, endOnFailure: true },
    );
    await table.close();
  });
}

Deno.test("table: any changes, with the table closed and opened in between", () => anyChanges(() => {}));

Deno.test("table: any changes in a table of the first stores, a tree of names", () => anyChanges(asTreeOfNames));

Deno.test("table: a page starts and ends where it is told", () =>
  withTable(async (path) => {
    const table = await systemDisk.openTable(path, OPTIONS);
    await table.apply(NAMES.map((name) => ({ name, envelope: new Uint8Array(100) })), 1);
    fc.assert(fc.property(
      fc.constantFrom("", "a_15", ...NAMES),
      fc.constantFrom("b_", "\u007f", ...NAMES),
      fc.boolean(),
      fc.integer({ min: 1, max: 10 }),
      (from, before, exclusive, rowsMax) => {
        const names = NAMES.filter((name) => (exclusive ? name > from : name >= from) && name < before);
        const rows = table.list({ from, before, exclusive, rowsMax });
        assert.deepEqual(rows.map((row) => row.name), names.slice(0, rowsMax));
      },
    ));
    await table.close();
  }));

Deno.test("table: what is damaged is an error for a listing too, and not the end of it", () =>
  withTable(async (path) => {
    const pageBytes = 4_096;
    let table = await systemDisk.openTable(path, OPTIONS);
    const names = Array.from({ length: 2_000 }, (_, n) => `s_${n}`);
    await table.apply(names.map((name) => ({ name, envelope: new Uint8Array(300).fill(1) })), undefined);
    await table.close();
    const whole = await Deno.readFile(path);
    let found = 0;
    for (let page = 5; page < whole.length / pageBytes; page += 7) {
      await Deno.writeFile(path, whole.slice().fill(0, page * pageBytes, (page + 1) * pageBytes));
      table = await systemDisk.openTable(path, { ...OPTIONS, create: false });
      try {
        assert.equal(table.list({ ...EVERYTHING, rowsMax: 10_000 }).length, names.length);
      } catch (error) {
        assert(error instanceof DiskError && error.code === "damaged", String(error));
        found++;
      }
      await table.close();
    }
    assert(found > 10, `${found}`);
  }));

Deno.test("table: a transaction that fails leaves nothing, and the next one goes through", () =>
  withTable(async (path) => {
    const table = await systemDisk.openTable(path, OPTIONS);
    await table.apply([{ name: "a_1", envelope: new Uint8Array(1) }], 1);
    const bad = { name: "a_3", envelope: "no bytes" as unknown as Uint8Array };
    await assert.rejects(() => table.apply([{ name: "a_2", envelope: new Uint8Array(1) }, bad], 2));
    assertSame(table, new Map([["a_1", new Uint8Array(1)]]), 1);
    await table.apply([{ name: "a_1", envelope: undefined }], 2);
    assertSame(table, new Map(), 2);
    await table.close();
  }));

Deno.test("table: only one process at a time, and only the partition that it was made for", () =>
  withTable(async (path) => {
    const table = await systemDisk.openTable(path, OPTIONS);
    const is = (code: string) => (error: unknown) => error instanceof DiskError && error.code === code;
    await assert.rejects(() => systemDisk.openTable(path, OPTIONS), is("busy"));
    await table.close();
    await assert.rejects(() => systemDisk.openTable(path, { ...OPTIONS, partition: 4 }), is("damaged"));
    await assert.rejects(() => systemDisk.openTable(path, { ...OPTIONS, store: "1".repeat(32) }), is("damaged"));
    await assert.rejects(() => systemDisk.openTable(`${path}2`, { ...OPTIONS, create: false }), is("damaged"));
    await assert.rejects(() => systemDisk.openTable(`${path}/no/such/directory`, OPTIONS), DiskError);
  }));

Deno.test("table: an error says what may have kept SQLite from opening it, which SQLite does not tell", () =>
  withTable(async (path) => {
    await Deno.mkdir(path);
    await assert.rejects(() => systemDisk.openTable(path, OPTIONS), {
      message: /03\.db: unable to open database file.* \(no permission, or too many open files\)$/,
    });
  }));
