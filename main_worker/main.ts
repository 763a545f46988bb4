/** The main worker as a process: reads the configuration, takes the store, begins a term, and opens its doors. */
import { Registry } from "prom-client";
import { frontThreads, readMainWorkerCommand } from "../shared/config/main_worker.ts";
import { type Address, formatAddress } from "../shared/config/values.ts";
import { stderrLogger } from "../shared/logging/stderr.ts";
import { createMainMetrics } from "../shared/metrics/program.ts";
import { mergeSnapshots, serveMetrics, takeSnapshot } from "../shared/metrics/serve.ts";
import { type Running, runProgram, StartError } from "../shared/process/program.ts";
import { openTls } from "../shared/process/tls.ts";
import { systemClock as clock } from "../shared/seams/clock.ts";
import { systemRandom as random } from "../shared/seams/random.ts";
import { openStore } from "../shared/storage/open_store.ts";
import type { MainLock, Store } from "../shared/storage/store.ts";
import { VERSION } from "../shared/version.ts";
import { createCodec } from "../shared/wire/grpc/codec.ts";
import { serveMainOverGrpc } from "../shared/wire/grpc/main_server.ts";
import { connectWorkerOverGrpc } from "../shared/wire/grpc/worker_client.ts";
import { probeWorkerOverGrpc } from "../shared/wire/grpc/worker_probe.ts";
import { createAdministration } from "./administration/administration.ts";
import { ControlPlane } from "./control/control_plane.ts";
import { openMasterKeys } from "./control/master_keys.ts";
import { Authenticator } from "./front/auth.ts";
import { CoherenceTable } from "./front/cache/coherence.ts";
import { addFigures, NO_FIGURES } from "./front/cache/read_cache.ts";
import { createFront, takeTurns } from "./front/front.ts";
import { createProcess } from "./front/grpc/process.ts";
import { createRestApp } from "./front/rest/app.ts";
import { readiness } from "./front/readiness.ts";
import { serveRest } from "./front/rest/server.ts";
import { RequestStatistics } from "./front/rest/statistics.ts";
import { type FrontThreads, startFrontThreads } from "./front/threads/front_threads.ts";
import { askMetrics } from "./main_metrics.ts";
import { tellOperator, tellUnreadable } from "./start_notes.ts";
import { createUiAssets } from "./ui/assets.ts";

/** Requests that are being answered get this long at shutdown. */
const GRACE_MS = 3_000;

async function start(args: readonly string[]): Promise<Running | { help: string }> {
  const command = readMainWorkerCommand(args, Deno.env);
  if (command.kind === "help") return { help: command.text };
  const { config } = command;
  const log = stderrLogger("main", config.log, clock);
  const metrics = createMainMetrics(new Registry(), { version: VERSION, clock });
  const store = await openStore(config.store, {
    clock,
    random,
    log: log.child("storage"),
    s3: metrics.s3,
    create: {
      partitions: config.partitions,
      asked: config.partitionsAsked,
    },
  });
  const coherence = CoherenceTable.allocate();
  const lock = await takeStore(store, coherence);
  // What can be wrong with the configuration is found before the store remembers anything of it.
  const codec = createCodec();
  const grpcTls = config.grpcTls &&
    await openTls(config.grpcTls, { clock, log }, () => pool?.renewGrpc(grpcTls!.source.material));
  const serverName = config.grpcTls?.serverName;
  const wire = { codec, messageBytesMax: config.grpcMaxRecvBytes, ...(grpcTls ? { tls: grpcTls.source } : {}) };
  const restTls = config.tls && await openTls(config.tls, { clock, log }, () => rest.renew(restTls!.source.material));
  const { keyring, generatedHex } = await openMasterKeys(
    { key: config.masterKey, keyId: config.keyId, old: config.oldMasterKeys },
    store.auth,
    random,
  );
  tellOperator(config, log, generatedHex === undefined ? undefined : { keyId: keyring.keyId, hex: generatedHex });
  const control = await ControlPlane.open({
    store,
    keys: keyring,
    clock,
    random,
    log: log.child("control"),
    metrics: metrics.control,
    adminKey: config.adminKey,
    workerKey: config.workerKey,
    workerTtlMs: config.workerTtlMs,
    clientTtlMs: config.clientTtlMs,
    documentBytesMax: config.restMaxBodyBytes,
    probe: probeWorkerOverGrpc({ ...wire, serverName }),
  });
  const threads = frontThreads(config.restThreads, navigator.hardwareConcurrency);
  // With front threads, this one's cache is for gRPC only.
  const cacheBytes = Math.floor(config.cacheBytes / (threads === 1 ? 1 : threads + 1));
  const front = createFront({
    control,
    connect: connectWorkerOverGrpc({ ...wire, serverName }),
    clock,
    random,
    log: log.child("front"),
    metrics: metrics.dispatcher,
    store,
    cacheBytes,
    coherence,
    ...(threads > 1 ? { turn: takeTurns } : {}),
  });
  let pool: FrontThreads | undefined = undefined;
  const administration = createAdministration({
    control,
    front,
    store,
    config,
    keyId: keyring.keyId,
    generatedKey: generatedHex !== undefined,
    clock,
    log,
    countAction: metrics.control.action,
    cacheFigures: () => addFigures(front.cache.figures(), pool?.cacheFigures() ?? NO_FIGURES),
    version: VERSION,
  });
  const statistics = new RequestStatistics(clock);
  askMetrics(metrics, { control, front, statistics, cacheBytes, partitions: store.partitions });

  const authenticator = new Authenticator(clock, () => control.snapshot().credentials);
  const stopping = new AbortController();
  const app = createRestApp({
    entities: front.entities,
    control,
    authenticator,
    admin: administration,
    statistics,
    clock,
    random,
    log: log.child("rest"),
    metrics: metrics.rest,
    countAction: metrics.control.action,
    bodyBytesMax: config.restMaxBodyBytes,
    threads,
    version: VERSION,
    ui: createUiAssets(() => ({ devMode: config.adminKey === undefined, version: VERSION })),
    ready: readiness(control, store, clock),
    stopping: stopping.signal,
  });
  const grpc = await serveMainOverGrpc({
    ...wire,
    address: formatAddress(config.grpcAddr),
    handler: control.handler,
    process: createProcess({
      entities: front.entities,
      control,
      authenticator,
      clock,
      log: log.child("grpc"),
      documentBytesMax: config.restMaxBodyBytes,
      answerBytesMax: config.grpcMaxRecvBytes,
      metrics: metrics.grpc,
      countAction: metrics.control.action,
    }),
    onFault: (error, path) => log.error("call_failed", { path, error }),
  }).catch((error) => {
    throw new StartError(`-grpc-addr=${formatAddress(config.grpcAddr)} cannot be used: ${error.message}`);
  });
  const { promise: failed, resolve: fail } = Promise.withResolvers<string>();
  const tls = restTls?.source.material;
  pool = threads === 1 ? undefined : await listening("rest-addr", config.restAddr, () =>
    startFrontThreads(threads, {
      address: config.restAddr,
      tls,
      grpcTls: grpcTls?.source.material,
      grpcServerName: serverName,
      grpcMaxRecvBytes: config.grpcMaxRecvBytes,
      bodyBytesMax: config.restMaxBodyBytes,
      threads,
      storeKind: store.kind,
      partitions: store.partitions,
      cacheBytes,
      coherence,
      log: config.log,
      listing: store.listing,
    }, { control, app, statistics, authenticator, log: log.child("rest"), failed: fail }));
  const rest = pool ?? await listening("rest-addr", config.restAddr, () => serveRest(app, config.restAddr, tls, log));
  const figures = async () =>
    pool === undefined
      ? await metrics.registry.metrics()
      : await mergeSnapshots([await takeSnapshot(metrics.registry), ...await pool.metrics()]);
  const metricsAddr = config.metricsAddr;
  const metricsServer = metricsAddr &&
    await listening("metrics-addr", metricsAddr, () => serveMetrics(metricsAddr, figures, log));
  await administration.rewrap.resume();
  if (generatedHex !== undefined) {
    const holds = (keyId: string) => keyring.holds(keyId);
    tellUnreadable({ lister: front.lister, holds, clock, log, stopping: stopping.signal })
      .catch((error) => log.error("unreadable_entities_not_counted", { error }));
  }
  grpc.health.set(true);
  log.info("started", {
    version: VERSION,
    rest_addr: formatAddress(rest.address),
    grpc_addr: grpc.address,
    store: store.kind,
    key_id: keyring.keyId,
    rest_threads: threads,
  });

  lock.lost.addEventListener("abort", () => fail("the store's lease was lost: another main worker may have it now"));
  return {
    failed,
    async stop() {
      log.info("stopping", {});
      stopping.abort(new Error("the main worker stops"));
      grpc.health.set(false);
      await rest.stop(GRACE_MS);
      await administration.rewrap.stop();
      front.close();
      control.close();
      await grpc.drain(GRACE_MS);
      restTls?.close();
      grpcTls?.close();
      await metricsServer?.shutdown();
      await lock.release();
      await store.close();
      keyring.destroy();
      metrics.close();
      log.info("stopped", {});
    },
  };
}

/** The right to be this store's one main worker; what is cached is current only while it has it. */
async function takeStore(store: Store, coherence: SharedArrayBuffer): Promise<MainLock> {
  const holder = `process ${Deno.pid} on ${Deno.hostname()}, started ${new Date(clock.now()).toISOString()}`;
  const table = new CoherenceTable(coherence, clock);
  const outcome = await store.lockMain(holder, (untilMs) => table.holdsUntil(untilMs));
  if (outcome.kind === "locked") return outcome.lock;
  await store.close();
  throw new StartError(`another main worker has this store: ${outcome.by}`);
}

/** Opens a listener. @throws {StartError} that names the flag. */
async function listening<T>(flag: string, address: Address, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse
      ? "the port is taken"
      : (error as Error).message.split("\n")[0];
    throw new StartError(`-${flag}=${formatAddress(address)} cannot be used: ${reason}`);
  }
}

if (import.meta.main) await runProgram("main-worker", start);
