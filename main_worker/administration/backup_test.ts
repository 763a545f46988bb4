import assert from "assert";
import { createHash } from "node:crypto";
import { BACKUP_CHUNK_BYTES, BACKUP_PAGE } from "../../shared/limits.ts";
import { parseSchemaId } from "../../shared/names.ts";
import { failure } from "../../shared/outcome.ts";
import { backup, BackupError } from "./backup.ts";
import { collect, keys, MemoryDatabase, PARTITIONS } from "./testing.ts";

const never = new AbortController().signal;

async function filled(entities: number): Promise<MemoryDatabase> {
  const database = new MemoryDatabase(keys(["k1", 1]));
  for (let i = 0; i < entities; i++) await database.put("chat", `key-${i}`, `{"i":${i}}`);
  database.templates.set(parseSchemaId("chat"), { hash: "", text: new TextEncoder().encode('{"type":"object"}') });
  database.apiKeys.push({
    id: "a",
    name: "n",
    hash: "0".repeat(64),
    permissions: ["read"],
    createdAtMs: 0,
    expiresAtMs: null,
  });
  return database;
}

function linesOf(bytes: Uint8Array): Record<string, unknown>[] {
  const text = new TextDecoder().decode(bytes);
  assert(text.endsWith("\n"));
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

for (const listing of ["owners", "store"] as const) {
  Deno.test(`everything in a store of which ${listing} give lists, once, and a checksum over it`, async () => {
    const database = await filled(700);
    const bytes = await collect(backup(database.backupParts(listing), never));
    const lines = linesOf(bytes);
    const entities = lines.filter(({ kind }) => kind === "entity");
    assert.deepEqual(
      new Map(entities.map(({ name, envelope }) => [name, envelope])),
      new Map([...database.envelopes].map(([name, envelope]) => [name, envelope.toBase64()])),
    );
    assert.equal(entities.length, 700);
    const { created_at, ...header } = lines[0]!;
    const { storeId, partitions, version } = database.backupParts(listing);
    assert.deepEqual(header, { kind: "header", format: 1, store_id: storeId, partitions, version });
    assert.equal(new Date(String(created_at)).toISOString(), created_at);
    const [template, key, ...more] = lines.slice(701, -1);
    assert.deepEqual(template, { kind: "template", id: "chat", text: btoa('{"type":"object"}') });
    assert.equal(key!.kind, "api_key");
    assert.deepEqual(
      Object.entries(key!.key as object).filter(([member]) => ["id", "name", "hash", "permissions"].includes(member)),
      [["id", "a"], ["name", "n"], ["hash", "0".repeat(64)], ["permissions", ["read"]]],
    );
    assert.deepEqual(more, []);
    const { sha256, ...end } = lines.at(-1)!;
    assert.deepEqual(end, { kind: "end", entities: 700, templates: 1, api_keys: 1 });
    const before = bytes.subarray(0, bytes.lastIndexOf(0x0a, bytes.length - 2) + 1);
    assert.equal(sha256, createHash("sha256").update(before).digest("hex"));
  });
}

Deno.test("nothing is read ahead of whoever takes it", async () => {
  const database = await filled(3_000);
  const chunks = backup(database.backupParts(), never);
  let bytes = 0;
  let largest = 0;
  let most = 0;
  let entities = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    largest = Math.max(largest, chunk.length);
    entities += new TextDecoder().decode(chunk).split('"kind":"entity"').length - 1;
    most = Math.max(most, database.listed - entities);
  }
  assert(bytes > 8 * BACKUP_CHUNK_BYTES, `${bytes}`);
  assert(largest < BACKUP_CHUNK_BYTES + 1_000, `${largest}`);
  assert(most <= BACKUP_PAGE, `${most} were listed and not taken yet`);
});

Deno.test("a partition that moves is waited for; one that stays away ends the backup without its last line", async () => {
  const database = await filled(50);
  let refusals = 5;
  database.beforePage = () => refusals-- > 0 ? failure("no_worker", "away") : undefined;
  assert.equal(linesOf(await collect(backup(database.backupParts(), never))).at(-1)!.entities, 50);

  database.beforePage = ({ partitions }) =>
    partitions?.[0] === PARTITIONS - 1 ? failure("no_worker", "away") : undefined;
  const taken: Uint8Array[] = [];
  await assert.rejects(async () => {
    for await (const chunk of backup(database.backupParts(), never)) taken.push(chunk);
  }, (error) => error instanceof BackupError && error.failure.code === "no_worker");
  assert(
    !new TextDecoder().decode(
      await collect((async function* () {
        yield* taken;
      })()),
    ).includes('"end"'),
  );
});

Deno.test("who has gone is not waited for", async () => {
  const database = await filled(50);
  const gone = new AbortController();
  database.beforePage = () => {
    gone.abort(new Error("gone"));
    return failure("no_worker", "away");
  };
  await assert.rejects(collect(backup(database.backupParts(), gone.signal)), /gone/);
});
