import assert from "assert";
import type { Partition } from "../../../shared/names.ts";
import { failure } from "../../../shared/outcome.ts";
import { STATUS_OF } from "./errors.ts";
import { createHarness } from "./testing.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const WORKER = {
  workerId: "proc-1",
  status: "Available" as const,
  keyId: "main-key-v1",
  lastSeenMs: Date.UTC(2026, 0, 31),
  tags: { grpc_addr: "127.0.0.1:50052" },
  activeRequests: 2,
  partitions: [3, 0, 2] as Partition[],
  cache: { entries: 1, bytes: 2, hits: 3, misses: 4, evictions: 5 },
};

Deno.test("workers as the contract shows them", async () => {
  const { send, control } = await createHarness();
  control.workerViews = [WORKER];
  assert.deepEqual(await (await send("GET", "/admin/workers")).json(), [{
    worker_id: "proc-1",
    status: "Available",
    key_id: "main-key-v1",
    last_seen: "2026-01-31T00:00:00.000Z",
    tags: { grpc_addr: "127.0.0.1:50052" },
    active_requests: 2,
    partitions: [0, 2, 3],
    cache: { entries: 1, bytes: 2, hits: 3, misses: 4, evictions: 5 },
  }]);
});

Deno.test("the statistics hold requests, workers, the owners of partitions and what the server adds", async () => {
  const { send, control, clock } = await createHarness();
  const route = { workerId: "proc-1", session: "abc", address: "x:1", token: "t" };
  control.publish({
    routes: {
      epoch: 7,
      workers: new Map([["abc", route]]),
      owners: [{ session: "abc", epoch: 6 }, "moving", "none", { session: "gone", epoch: 5 }],
      takenEpochs: [6, 0, 0, 5],
    },
  });
  control.workerViews = [WORKER];
  await send("PUT", "/entity/s?key=k", { body: "1" });
  clock.pass(6_000);
  const stats = await (await send("GET", "/admin/stats")).json();
  assert.deepEqual(stats.partitions, {
    count: 4,
    epoch: 7,
    owners: ["proc-1", null, null, null],
    moving: [1],
    none: [2],
  });
  assert.equal(stats.workers[0].worker_id, "proc-1");
  assert.equal(stats.requests.operations.put.total.count, 1);
  assert.deepEqual(stats.requests.operations.put.rate, [0.2, 0]);
  assert.equal(stats.requests.times.length, 2);
  assert.deepEqual([stats.version, stats.dev_mode, stats.now], ["0.0.0-test", false, "2026-01-31T12:00:06.000Z"]);
  assert.deepEqual(stats.storage.kind, "directory");
  assert.equal(stats.configuration["admin-key"], "set");
});

Deno.test("a backup streams, is named, and breaks off when it cannot be completed", async () => {
  const { send, admin, log } = await createHarness();
  admin.backupChunks = [bytes('{"format":1}\n'), bytes('{"end":true}\n')];
  const whole = await send("GET", "/admin/backup");
  assert.equal(whole.headers.get("content-type"), "application/x-ndjson");
  assert.equal(
    whole.headers.get("content-disposition"),
    'attachment; filename="deltadatabase-2026-01-31T120000.ndjson"',
  );
  assert.equal(await whole.text(), '{"format":1}\n{"end":true}\n');
  admin.backupChunks = [bytes('{"format":1}\n'), new Error("the disk is gone")];
  const cut = await send("GET", "/admin/backup");
  await assert.rejects(cut.text());
  admin.fault = failure("no_worker", "nobody serves");
  assert.equal((await send("GET", "/admin/backup")).status, 503);
  assert.deepEqual(log.of("backup").map(({ fields }) => fields.result), ["ok", "failed", "no_worker"]);
});

Deno.test("a backup that nobody reads any more is stopped", async () => {
  const harness = await createHarness();
  const { send, admin, log, stop } = harness;
  admin.backupChunks = Array.from({ length: 100 }, () => bytes("x\n"));
  const response = await send("GET", "/admin/backup");
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(admin.backupSignal!.aborted, true);
  assert.equal(log.of("backup")[0]!.fields.result, "cut_off");
  assert.equal(await (await send("HEAD", "/admin/backup")).text(), "");
  await send("GET", "/admin/backup");
  assert.equal(admin.backupSignal!.aborted, false);
  stop.abort();
  assert.equal(admin.backupSignal!.aborted, true);
});

Deno.test("a restore answers lines of progress while it reads", async () => {
  const { send, admin, log } = await createHarness();
  const restore = async (query: string, body: BodyInit | null) => {
    const response = await send("POST", `/admin/restore${query}`, { body });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/x-ndjson");
    return (await response.text()).trimEnd().split("\n").map((line) => JSON.parse(line));
  };
  const counts = { entities_skipped: 0, templates: 0, templates_skipped: 0, api_keys: 0, api_keys_skipped: 0 };
  assert.deepEqual(await restore("?existing=overwrite", "0123456789"), [
    { status: "running", entities: 1, ...counts },
    { status: "done", entities: 1, ...counts },
  ]);
  assert.deepEqual(admin.restored, { existing: "overwrite", bytes: 10 });
  assert.deepEqual(await restore("", null), [{ status: "done", entities: 0, ...counts }]);
  assert.deepEqual(admin.restored, { existing: "skip", bytes: 0 });
  admin.fault = failure("bad_request", "the backup is truncated");
  assert.deepEqual((await restore("", "x")).at(-1), {
    status: "failed",
    error: "the backup is truncated",
    code: "bad_request",
    entities: 1,
    ...counts,
  });
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new Error("reset"));
    },
  });
  const refused = await send("POST", "/admin/restore", { body: broken });
  assert.deepEqual([refused.status, (await refused.json()).code], [400, "bad_request"]);
  assert.equal((await send("POST", "/admin/restore?existing=maybe", { body: "" })).status, 400);
  assert.deepEqual(log.of("restore").map(({ fields }) => fields.result), ["done", "done", "failed", "failed"]);
});

Deno.test("a restore that fails before it has restored anything answers the status of its failure", async () => {
  const { send, admin, log } = await createHarness();
  const codes = ["bad_request", "too_large", "key_unavailable", "tampered", "no_worker"] as const;
  for (const code of codes) {
    admin.fault = failure(code, "for a reason");
    const response = await send("POST", "/admin/restore", { body: null });
    assert.deepEqual([response.status, await response.json()], [STATUS_OF[code], { error: "for a reason", code }]);
    assert.equal(response.headers.get("retry-after") !== null, code === "no_worker");
  }
  const encoded = await send("POST", "/admin/restore", { body: "x", headers: { "content-encoding": "gzip" } });
  assert.deepEqual([encoded.status, (await encoded.json()).code], [415, "unsupported_media_type"]);
  assert.deepEqual(log.of("restore").map(({ fields }) => fields.result), [...codes, 1].map(() => "failed"));
});

Deno.test("a client that goes before it takes the first line ends the restore, which is on record", async () => {
  const { send, log } = await createHarness();
  let ended: unknown;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(bytes("x")),
    cancel: (reason) => void (ended = [reason]),
  });
  const response = await send("POST", "/admin/restore", { body });
  await response.body!.cancel();
  assert(ended !== undefined);
  assert.deepEqual(log.of("restore").map(({ fields }) => fields.result), ["cut_off"]);
});

Deno.test("a restore whose body stalls fails, and says so", async () => {
  const { send, clock } = await createHarness();
  const stalled = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(bytes("x"));
      return new Promise(() => {});
    },
  });
  const response = await send("POST", "/admin/restore", { body: stalled });
  const reader = response.body!.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /"running"/);
  const next = reader.read();
  while (clock.timers === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  clock.pass(30_000);
  const line = JSON.parse(new TextDecoder().decode((await next).value));
  assert.deepEqual([line.status, line.code, line.entities], ["failed", "bad_request", 1]);
  assert.equal((await reader.read()).done, true);
});

Deno.test("re-encryption is started and reported", async () => {
  const { send, admin } = await createHarness();
  assert.equal((await (await send("GET", "/admin/rewrap")).json()).status, "idle");
  const started = await send("POST", "/admin/rewrap");
  assert.deepEqual([started.status, (await started.json()).status], [202, "running"]);
  assert.equal((await (await send("GET", "/admin/rewrap")).json()).status, "running");
  admin.fault = failure("no_worker", "nobody serves");
  assert.equal((await send("POST", "/admin/rewrap")).status, 503);
});

Deno.test("every administrative action that is put on record is counted with what it ended in", async () => {
  const { send, admin, actions, log } = await createHarness();
  const key = JSON.stringify({ name: "n", permissions: ["read"] });
  const { id } = await (await send("POST", "/api/keys", { body: key })).json();
  await send("DELETE", `/api/keys/${id}`);
  await send("PUT", "/schema/s", { body: "{}" });
  await send("PUT", "/schema/s", { body: '{"type":7}' });
  await send("DELETE", "/schema/s");
  await send("DELETE", "/schema/s");
  for (const fault of [undefined, failure("no_worker", "nobody serves")]) {
    admin.fault = fault;
    await (await send("GET", "/admin/backup")).body!.pipeTo(new WritableStream());
    await (await send("POST", "/admin/restore", { body: "x" })).text();
    await send("POST", "/admin/rewrap");
  }
  assert.deepEqual(actions, [
    "api_key_create ok",
    "api_key_revoke ok",
    "schema_put ok",
    "schema_put invalid_schema",
    "schema_delete ok",
    "schema_delete not_found",
    "backup ok",
    "restore done",
    "rewrap_start running",
    "backup no_worker",
    "restore failed",
    "rewrap_start no_worker",
  ]);
  const recorded = log.lines.filter(({ fields }) => fields.audit);
  assert.deepEqual(recorded.map(({ event, fields }) => `${event} ${fields.result}`), actions);
});
