/** A processing worker as a process: reads the configuration, opens the store, joins the main worker, serves, hands over. */
import { readProcWorkerCommand } from "../shared/config/proc_worker.ts";
import { type Address, formatAddress } from "../shared/config/values.ts";
import { JOIN_SECRET_OBJECT, joinProof } from "../shared/crypto/join.ts";
import { createKeyPair } from "../shared/crypto/key_wrap.ts";
import { sameSecret, secretHash } from "../shared/crypto/tokens.ts";
import { stderrLogger } from "../shared/logging/stderr.ts";
import { createWorkerMetrics } from "../shared/metrics/program.ts";
import { serveMetrics } from "../shared/metrics/serve.ts";
import { type Running, runProgram, StartError } from "../shared/process/program.ts";
import { openTls } from "../shared/process/tls.ts";
import { CompiledSchemas } from "../shared/schema/compiled_schemas.ts";
import { sleep, systemClock as clock } from "../shared/seams/clock.ts";
import { randomHex, systemRandom as random } from "../shared/seams/random.ts";
import { openStore, type StoreContext } from "../shared/storage/open_store.ts";
import { StorageError, type Store } from "../shared/storage/store.ts";
import { VERSION } from "../shared/version.ts";
import { createCodec } from "../shared/wire/grpc/codec.ts";
import { connectMainOverGrpc } from "../shared/wire/grpc/main_client.ts";
import { serveWorkerOverGrpc } from "../shared/wire/grpc/worker_server.ts";
import { JoinRefused } from "./membership/membership.ts";
import { KeyStore } from "./membership/key_store.ts";
import { Worker } from "./worker.ts";
import { Registry } from "prom-client";

/** A store that the main worker has not made yet is looked for again this often. */
const STORE_RETRY_MS = 500;
/** How often gRPC health follows whether the main worker has this worker. */
const HEALTH_MS = 500;
const GRACE_MS = 1_000;

async function start(args: readonly string[]): Promise<Running | { help: string }> {
  const command = readProcWorkerCommand(args, Deno.env, Deno.hostname);
  if (command.kind === "help") return { help: command.text };
  const { config } = command;
  const log = stderrLogger("proc", config.log, clock);
  for (const warning of config.warnings) log.warn("configuration", { message: warning });
  const keyPair = createKeyPair();
  const metrics = createWorkerMetrics(new Registry(), { version: VERSION, clock });
  let worker: Worker | undefined = undefined;
  const store = await waitForStore({
    clock,
    random,
    log: log.child("storage"),
    s3: metrics.s3,
    mayWrite: (partition) => worker?.mayWrite(partition) ?? false,
  }, config.store);
  const session = randomHex(random, 16);
  const entities = await store.openEntities(`${config.workerId} (process ${Deno.pid} on ${Deno.hostname()})`);
  const { publicKey, privateKey } = await keyPair;
  const codec = createCodec();
  const tls = config.grpcTls && await openTls(config.grpcTls, { clock, log });
  const wire = { codec, messageBytesMax: config.grpcMaxRecvBytes, ...(tls ? { tls: tls.source } : {}) };
  const keys = new KeyStore(privateKey, random, clock);
  const schemas = new CompiledSchemas();

  // The server must listen before the worker joins, and the worker tells where; so the handler is looked up by call.
  const server = await serveWorkerOverGrpc({
    ...wire,
    address: formatAddress(config.grpcAddr),
    health: true,
    session,
    authorize: (token) =>
      worker?.membership.authorize(token, (a, b) => sameSecret(secretHash(a), secretHash(b))) ?? false,
    handler: {
      processBatch: (request) => worker!.handler.processBatch(request),
      list: (request) => worker!.handler.list(request),
      events: (request, send, signal) => worker!.handler.events(request, send, signal),
    },
    onFault: (error, path) => log.error("call_failed", { path, error }),
  }).catch((error) => {
    throw new StartError(`-grpc-addr=${formatAddress(config.grpcAddr)} cannot be used: ${error.message}`);
  });
  const client = connectMainOverGrpc({
    ...wire,
    address: formatAddress(config.mainAddr),
    serverName: config.grpcTls?.serverName,
  });
  const { workerId, workerKey } = config;
  worker = new Worker({
    entities,
    client,
    identity: {
      workerId,
      session,
      publicKey,
      tags: { grpc_addr: config.advertiseAddr ? formatAddress(config.advertiseAddr) : server.address },
      storeId: store.id,
      partitions: store.partitions,
      async prove(timestampMs) {
        const secret = workerKey === undefined
          ? await store.auth.get(JOIN_SECRET_OBJECT)
          : new TextEncoder().encode(workerKey);
        if (secret === undefined) return new Uint8Array(32);
        return joinProof({ secret, workerId, session, publicKey, timestampMs, storeId: store.id });
      },
    },
    schemas,
    messageBytesMax: config.grpcMaxRecvBytes,
    cache: { entriesMax: config.cacheEntries, bytesMax: config.cacheBytes, ttlMs: config.cacheTtlMs },
    clock,
    random,
    log,
    metrics: { ...metrics.executor, ...metrics.membership },
    store,
    unwrap: (response) => keys.unwrap(response.keys),
  });
  const { cache, ownership, membership } = worker;
  metrics.askEntities(() => entities.stats());
  metrics.askCache(() => cache.figures(), config.cacheEntries === 0 ? 0 : config.cacheBytes);
  metrics.ask({
    active_operations: () => worker!.active,
    compiled_schemas: () => schemas.size,
    main_worker_connected: () => Number(membership.connected),
    partitions_failing: () => ownership.failing().length,
    partitions_owned: () => ownership.serving().length,
    token_expiry_timestamp_seconds: () => (membership.tokenExpiresAtMs ?? 0) / 1_000,
  });
  const health = setInterval(() => server.health?.set(membership.connected), HEALTH_MS);
  const { metricsAddr } = config;
  const metricsServer = metricsAddr &&
    listening(metricsAddr, () => serveMetrics(metricsAddr, () => metrics.registry.metrics(), log));
  log.info("started", { worker_id: workerId, grpc_addr: server.address, main_addr: formatAddress(config.mainAddr) });

  const { promise: failed, resolve: fail } = Promise.withResolvers<string>();
  worker.membership.run().catch((error) => {
    // The name and address of the call, which stand before the sentence, are in the log.
    if (error instanceof JoinRefused) fail(error.message.replace(/^.*?(?=the join was refused: )/, ""));
    else fail(`unexpected: ${error instanceof Error ? error.stack : error}`);
  });
  return {
    failed,
    async stop() {
      log.info("stopping", {});
      clearInterval(health);
      server.health?.set(false);
      await worker.leave();
      // The connections to the main worker and from it end with this process.
      await server.drain(GRACE_MS);
      tls?.close();
      await entities.close();
      await store.close();
      keys.destroy();
      await metricsServer?.shutdown();
      metrics.close();
      log.info("stopped", {});
    },
  };
}

/** Opens the metrics' listener. @throws {StartError} that names the flag. */
function listening<T>(address: Address, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const taken = error instanceof Deno.errors.AddrInUse;
    const reason = taken ? "the port is taken" : (error as Error).message.split("\n")[0];
    throw new StartError(`-metrics-addr=${formatAddress(address)} cannot be used: ${reason}`);
  }
}

/** The store, as soon as the main worker has made it. */
async function waitForStore(
  context: StoreContext,
  config: Parameters<typeof openStore>[0],
): Promise<Store> {
  for (let said = false;; said = true) {
    try {
      return await openStore(config, context);
    } catch (error) {
      if (!(error instanceof StorageError) || error.reason !== "missing") throw error;
      if (!said) context.log.info("waiting_for_store", { reason: error.message });
      await sleep(clock, STORE_RETRY_MS);
    }
  }
}

if (import.meta.main) await runProgram("proc-worker", start);
