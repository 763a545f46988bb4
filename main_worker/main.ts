/** The main worker as a process: reads the configuration, takes the store, begins a term, and opens its doors. */
import { Registry } from "prom-client";
import { readMainWorkerCommand } from "../shared/config/main_worker.ts";
import { type Address, formatAddress } from "../shared/config/values.ts";
import { stderrLogger } from "../shared/logging/stderr.ts";
import { createMainMetrics } from "../shared/metrics/program.ts";
import { serveMetrics } from "../shared/metrics/serve.ts";
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
import { createAdministration } from "./administration/administration.ts";
import { ControlPlane } from "./control/control_plane.ts";
import { openMasterKeys } from "./control/master_keys.ts";
import { Authenticator } from "./front/auth.ts";
import { CoherenceTable } from "./front/cache/coherence.ts";
import { createFront } from "./front/front.ts";
import { createProcess } from "./front/grpc/process.ts";
import { createRestApp } from "./front/rest/app.ts";
import { readiness } from "./front/readiness.ts";
import { serveRest } from "./front/rest/server.ts";
import { RequestStatistics } from "./front/rest/statistics.ts";
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
  const lock = await takeStore(store);
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
  });
  const codec = createCodec();
  const grpcTls = config.grpcTls && await openTls(config.grpcTls, { clock, log });
  const wire = { codec, messageBytesMax: config.grpcMaxRecvBytes, ...(grpcTls ? { tls: grpcTls.source } : {}) };
  const front = createFront({
    control,
    connect: connectWorkerOverGrpc(wire),
    clock,
    random,
    log: log.child("front"),
    metrics: metrics.dispatcher,
    store,
    cacheBytes: config.cacheBytes,
    coherence: CoherenceTable.allocate(),
  });
  const administration = createAdministration({
    control,
    front,
    store,
    config,
    keyId: keyring.keyId,
    generatedKey: generatedHex !== undefined,
    clock,
    log,
    version: VERSION,
  });
  const statistics = new RequestStatistics(clock);
  askMetrics(metrics, { control, front, statistics, config, partitions: store.partitions });

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
    bodyBytesMax: config.restMaxBodyBytes,
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
    }),
    onFault: (error, path) => log.error("call_failed", { path, error }),
  }).catch((error) => {
    throw new StartError(`-grpc-addr=${formatAddress(config.grpcAddr)} cannot be used: ${error.message}`);
  });
  const restTls = config.tls && await openTls(config.tls, { clock, log }, () => rest.renew(restTls!.source.material));
  const rest = listening(
    "rest-addr",
    config.restAddr,
    () => serveRest(app, config.restAddr, restTls?.source.material, log),
  );
  const metricsAddr = config.metricsAddr;
  const metricsServer = metricsAddr &&
    listening("metrics-addr", metricsAddr, () => serveMetrics(metricsAddr, () => metrics.registry.metrics(), log));
  await administration.rewrap.resume();
  if (generatedHex !== undefined) {
    const holds = (keyId: string) => keyring.holds(keyId);
    tellUnreadable({ lister: front.lister, holds, clock, log, stopping: stopping.signal })
      .catch((error) => log.error("unreadable_entities_not_counted", { error }));
  }
  log.info("started", {
    version: VERSION,
    rest_addr: formatAddress(rest.address),
    grpc_addr: grpc.address,
    store: store.kind,
    key_id: keyring.keyId,
  });

  const { promise: failed, resolve: fail } = Promise.withResolvers<string>();
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
      await grpc.stop(GRACE_MS);
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

/** The right to be this store's one main worker. */
async function takeStore(store: Store): Promise<MainLock> {
  const holder = `process ${Deno.pid} on ${Deno.hostname()}, started ${new Date(clock.now()).toISOString()}`;
  const outcome = await store.lockMain(holder);
  if (outcome.kind === "locked") return outcome.lock;
  await store.close();
  throw new StartError(`another main worker has this store: ${outcome.by}`);
}

/** Opens a listener. @throws {StartError} that names the flag. */
function listening<T>(flag: string, address: Address, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse
      ? "the port is taken"
      : (error as Error).message.split("\n")[0];
    throw new StartError(`-${flag}=${formatAddress(address)} cannot be used: ${reason}`);
  }
}

if (import.meta.main) await runProgram("main-worker", start);
