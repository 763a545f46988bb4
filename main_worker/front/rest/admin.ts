/** `/admin/…`: workers, statistics, backup, restore and re-encryption, for callers who may do what concerns the whole server. */
import type { StorageFigures } from "../../../shared/wire/messages.ts";
import type { WorkerView } from "../../control/control.ts";
import type { ExistingPolicy, RestoreCounts, RestoreProgress } from "./admin_operations.ts";
import { isFailure } from "./admin_operations.ts";
import { auditCall } from "./audit.ts";
import { streamBody } from "./bodies.ts";
import { jsonContent, ref } from "./components.ts";
import { errorBody, INTERNAL, Refusal } from "./errors.ts";
import { queryChoice } from "./query.ts";
import { failed, json, reply } from "./reply.ts";
import { ADMIN, type Call, type RestDeps, type Route } from "./route.ts";
import type { PartitionStats, Stats, WorkerJson, WorkerStorageJson } from "./stats.ts";

const NDJSON = "application/x-ndjson";

/** A worker as clients see it. */
export function workerJson(worker: WorkerView): WorkerJson {
  return {
    worker_id: worker.workerId,
    status: worker.status,
    key_id: worker.keyId,
    last_seen: new Date(worker.lastSeenMs).toISOString(),
    tags: worker.tags,
    active_requests: worker.activeRequests,
    partitions: [...worker.partitions].sort((a, b) => a - b),
    cache: worker.cache,
    ...(worker.storage ? { storage: storageJson(worker.storage) } : {}),
  };
}

function storageJson(storage: StorageFigures): WorkerStorageJson {
  return {
    syncs: storage.syncs,
    sync_mean_ms: storage.syncs === 0 ? null : storage.syncMicroseconds / storage.syncs / 1_000,
    log_bytes: storage.logBytes,
    dirty_entities: storage.dirtyEntities,
    dirty_bytes: storage.dirtyBytes,
    checkpoints: storage.checkpoints,
  };
}

/** Bytes of an iteration as they are asked for; the client's going ends it through `stop`. */
function streamOf(chunks: AsyncIterator<Uint8Array, void>, stop: AbortController): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      stop.abort(reason);
      await chunks.return?.();
    },
  }, { highWaterMark: 0 });
}

/** The administrative routes. */
export function adminRoutes(deps: RestDeps): readonly Route[] {
  const { control, admin, clock, statistics, authenticator, log, version } = deps;

  const workers = () => control.workers().map(workerJson);

  function partitions(): PartitionStats {
    const { owners, workers, epoch } = control.snapshot().routes;
    const nameOf = new Map([...workers.values()].map(({ session, workerId }) => [session, workerId]));
    const those = (state: "moving" | "none") => owners.flatMap((owner, index) => owner === state ? [index] : []);
    return {
      count: owners.length,
      epoch,
      owners: owners.map((owner) => typeof owner === "string" ? null : nameOf.get(owner.session) ?? null),
      moving: those("moving"),
      none: those("none"),
    };
  }

  async function stats(call: Call): Promise<Response> {
    const server = await admin.stats();
    const answer: Stats = {
      ...server,
      version,
      now: new Date(clock.now()).toISOString(),
      dev_mode: authenticator.devMode,
      requests: statistics.series(),
      workers: workers(),
      partitions: partitions(),
    };
    return json(call, 200, answer);
  }

  /** Aborted by the server's end; by the client's going through the stream that is answered. */
  function stopper(): AbortController {
    const stop = new AbortController();
    const abort = () => stop.abort();
    if (deps.stopping.aborted) abort();
    else deps.stopping.addEventListener("abort", abort, { once: true, signal: stop.signal });
    return stop;
  }

  async function* watched(
    call: Call,
    action: string,
    chunks: AsyncIterable<Uint8Array>,
    stop: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    let result = "cut_off";
    try {
      yield* chunks;
      result = "ok";
    } catch (error) {
      // A client that has gone is nobody's failure.
      if (stop.aborted) throw error;
      result = "failed";
      log.error(`${action}_failed`, { request_id: call.requestId, error });
      throw error;
    } finally {
      auditCall(deps, call, action, result);
    }
  }

  async function backup(call: Call): Promise<Response> {
    const stop = stopper();
    const chunks = await admin.backup(stop.signal);
    if (isFailure(chunks)) {
      auditCall(deps, call, "backup", chunks.code);
      return failed(call, chunks);
    }
    const name = `deltadatabase-${new Date(clock.now()).toISOString().slice(0, 19).replaceAll(":", "")}.ndjson`;
    return reply(call, 200, streamOf(watched(call, "backup", chunks, stop.signal), stop), NDJSON, [
      ["content-disposition", `attachment; filename="${name}"`],
    ]);
  }

  /** Progress as it comes; whatever goes wrong is the last of it. */
  async function* restoring(
    call: Call,
    existing: ExistingPolicy,
    signal: AbortSignal,
  ): AsyncGenerator<RestoreProgress, void> {
    let last: RestoreProgress | undefined;
    try {
      for await (const progress of admin.restore(streamBody(call.request, clock), existing, signal)) {
        last = progress;
        yield progress;
      }
    } catch (error) {
      if (!(error instanceof Refusal || signal.aborted)) {
        log.error("restore_failed", { request_id: call.requestId, error });
      }
      const reason = error instanceof Refusal ? error.failure : INTERNAL;
      last = { status: "failed", failure: reason, ...countsOf(last) };
      yield last;
    } finally {
      const result = last === undefined || last.status === "running" ? "cut_off" : last.status;
      auditCall(deps, call, "restore", result, {
        existing,
        entities: last?.entities ?? 0,
        entities_skipped: last?.entities_skipped ?? 0,
      });
    }
  }

  /** The status of the answer is that of the first line: what fails before anything was restored is an error like any other. */
  async function restore(call: Call): Promise<Response> {
    const existing = queryChoice(call.query, "existing", ["skip", "overwrite"], "skip");
    const stop = stopper();
    const progress = restoring(call, existing, stop.signal);
    const first = await progress.next();
    if (!first.done && first.value.status === "failed" && isNothing(first.value)) {
      await progress.return();
      stop.abort();
      return failed(call, first.value.failure);
    }
    return reply(call, 200, streamOf(linesOf(first, progress), stop), NDJSON);
  }

  async function startRewrap(call: Call): Promise<Response> {
    const started = await admin.startRewrap();
    auditCall(deps, call, "rewrap_start", isFailure(started) ? started.code : started.status);
    return isFailure(started) ? failed(call, started) : json(call, 202, started);
  }

  async function rewrap(call: Call): Promise<Response> {
    return json(call, 200, await admin.rewrapProgress());
  }

  return [
    {
      method: "GET",
      path: "/admin/workers",
      access: ADMIN,
      operation: "admin",
      handle: (call) => json(call, 200, workers()),
      describe: {
        operationId: "listWorkers",
        tag: "Administration",
        summary: "The processing workers",
        responses: {
          "200": {
            description: "Those that have joined since the main worker started.",
            content: jsonContent({ type: "array", items: ref("Worker") }, [{
              worker_id: "proc-1",
              status: "Available",
              key_id: "main-key-v1",
              last_seen: "2026-01-31T12:00:00.000Z",
              tags: { grpc_addr: "127.0.0.1:50052" },
              active_requests: 3,
              partitions: [0, 1, 2, 3],
              cache: { entries: 256, bytes: 262144, hits: 1000, misses: 20, evictions: 0 },
            }]),
          },
        },
      },
    },
    {
      method: "GET",
      path: "/admin/stats",
      access: ADMIN,
      operation: "admin",
      handle: stats,
      describe: {
        operationId: "stats",
        tag: "Administration",
        summary: "What the dashboard shows",
        responses: { "200": { description: "The state of the server.", content: jsonContent(ref("Stats")) } },
      },
    },
    {
      method: "GET",
      path: "/admin/backup",
      access: ADMIN,
      operation: "admin",
      handle: backup,
      describe: {
        operationId: "backup",
        tag: "Administration",
        summary: "Back everything up, encrypted as it is",
        description:
          "Lines of JSON: a header, one line for each entity with its envelope in base64, templates, hashes " +
          "of API keys, and a last line with counts and a SHA-256, without which the backup counts as truncated. " +
          "Taken while the server works; each entity as of some moment during it.",
        responses: {
          "200": { description: "The backup.", content: { [NDJSON]: { schema: { type: "string" } } } },
        },
      },
    },
    {
      method: "POST",
      path: "/admin/restore",
      access: ADMIN,
      operation: "admin",
      handle: restore,
      describe: {
        operationId: "restore",
        tag: "Administration",
        summary: "Restore a backup",
        description:
          "Into this store, whatever kind of store it came from. Each envelope is checked against the keys " +
          "that this server holds before it is written. The answer comes while the body is read: lines of progress, " +
          "and a last one with `status` `done` or `failed`. What fails before anything was restored is answered as an error. " +
          "API keys of the backup that are not there come back, also those that were revoked after it was taken.",
        parameters: [{
          name: "existing",
          in: "query",
          description: "What happens to what is there already.",
          schema: { type: "string", enum: ["skip", "overwrite"], default: "skip" },
        }],
        requestBody: { required: true, content: { [NDJSON]: { schema: { type: "string" } } } },
        responses: {
          "200": {
            description:
              "Lines of progress, each a `RestoreLine`. A failure of what has restored something is in the last one.",
            content: {
              [NDJSON]: {
                schema: { type: "string" },
                example: JSON.stringify({ status: "done", ...NOTHING_RESTORED, entities: 1204, templates: 2 }) + "\n",
              },
            },
          },
        },
        errors: ["too_large", "unsupported_media_type", "key_unavailable", "tampered", "invalid_schema"],
      },
    },
    {
      method: "POST",
      path: "/admin/rewrap",
      access: ADMIN,
      operation: "admin",
      handle: startRewrap,
      describe: {
        operationId: "startRewrap",
        tag: "Administration",
        summary: "Re-encrypt everything under the current key",
        description: "In the background, while the server works. Asked again while it runs, it goes on; asked again " +
          "later, it does what is left.",
        responses: { "202": { description: "It runs.", content: jsonContent(ref("Rewrap")) } },
      },
    },
    {
      method: "GET",
      path: "/admin/rewrap",
      access: ADMIN,
      operation: "admin",
      handle: rewrap,
      describe: {
        operationId: "rewrapProgress",
        tag: "Administration",
        summary: "How far the re-encryption is",
        responses: { "200": { description: "Its progress.", content: jsonContent(ref("Rewrap")) } },
      },
    },
  ];
}

/** The counts of a line of progress, without the rest of it. */
function countsOf(progress: RestoreCounts = NOTHING_RESTORED): RestoreCounts {
  const { entities, entities_skipped, templates, templates_skipped, api_keys, api_keys_skipped } = progress;
  return { entities, entities_skipped, templates, templates_skipped, api_keys, api_keys_skipped };
}

/** Whether a restore has changed nothing so far. */
function isNothing({ entities, templates, api_keys }: RestoreCounts): boolean {
  return entities + templates + api_keys === 0;
}

/** A line of progress as clients see it; a failure has the members of an error body. */
function restoreLine(progress: RestoreProgress): object {
  return progress.status === "failed"
    ? { status: "failed", ...errorBody(progress.failure), ...countsOf(progress) }
    : progress;
}

/** Lines of JSON of what came first and of what follows; ended early, it ends what they come from, even before the first. */
function linesOf(
  first: IteratorResult<RestoreProgress, void>,
  progress: AsyncGenerator<RestoreProgress, void>,
): AsyncIterator<Uint8Array, void> {
  const encoder = new TextEncoder();
  let ahead: typeof first | undefined = first;
  return {
    async next() {
      const { done, value } = ahead ?? await progress.next();
      ahead = undefined;
      return done
        ? { done: true, value: undefined }
        : { done: false, value: encoder.encode(JSON.stringify(restoreLine(value)) + "\n") };
    },
    async return() {
      await progress.return();
      return { done: true, value: undefined };
    },
  };
}

const NOTHING_RESTORED: RestoreCounts = {
  entities: 0,
  entities_skipped: 0,
  templates: 0,
  templates_skipped: 0,
  api_keys: 0,
  api_keys_skipped: 0,
};
