/** Configuration of a processing worker: its flags, and the checked, immutable object that they become. */
import { CACHE_BYTES_DEFAULT, CACHE_BYTES_MAX, CACHE_ENTRIES_DEFAULT, CACHE_ENTRIES_MAX } from "../limits.ts";
import {
  checkListeners,
  type GrpcTlsConfig,
  grpcTlsConfig,
  grpcTlsFlags,
  type LogConfig,
  observabilityFlags,
  sharedFlags,
  type StoreConfig,
  storeConfig,
  storeFlags,
  weakSecretWarning,
} from "./common.ts";
import { type EffectiveFlag, type Environment, type FlagTable, helpText, parseFlags } from "./flags.ts";
import {
  type Address,
  advertiseAddress,
  count,
  defaultWorkerId,
  dialAddress,
  duration,
  formatSize,
  listenAddress,
  size,
  workerId,
} from "./values.ts";

/** The flags of a processing worker. */
export const procWorkerFlags = {
  "main-addr": {
    kind: dialAddress,
    default: "127.0.0.1:50051",
    group: "Addresses",
    help: "gRPC address of the main worker.",
  },
  "worker-id": {
    kind: workerId,
    absent: "proc-<hostname>",
    group: "Addresses",
    help: "Name of this worker; a second live worker with the name is refused.",
  },
  "grpc-addr": {
    kind: listenAddress,
    default: "127.0.0.1:50052",
    group: "Addresses",
    help: "gRPC address of this worker; port 0 picks a free one.",
  },
  "advertise-addr": {
    kind: advertiseAddress,
    absent: "the port of -grpc-addr, at its host or the address that this worker is seen to come from",
    group: "Addresses",
    help: "Address at which the main worker reaches this worker.",
  },
  ...storeFlags,
  "worker-key": sharedFlags.workerKey,
  "cache-size": {
    kind: count(0, CACHE_ENTRIES_MAX),
    default: String(CACHE_ENTRIES_DEFAULT),
    group: "Limits",
    help: "Most documents in the cache; 0 turns it off.",
  },
  "cache-bytes": {
    kind: size(0, CACHE_BYTES_MAX),
    default: formatSize(CACHE_BYTES_DEFAULT),
    group: "Limits",
    help: "Most memory for cached documents; 0 turns the cache off.",
  },
  "cache-ttl": {
    kind: duration(),
    default: "0",
    group: "Limits",
    help: "How long a document stays in the cache; 0: as long as there is room.",
  },
  "grpc-max-recv-msg-size": sharedFlags.grpcMaxRecvMsgSize,
  ...grpcTlsFlags,
  ...observabilityFlags,
} as const satisfies FlagTable;

/** What a processing worker runs with. Times in milliseconds, sizes in bytes. */
export interface ProcWorkerConfig {
  readonly mainAddr: Address;
  readonly workerId: string;
  readonly grpcAddr: Address;
  /** `undefined`: derived from {@linkcode grpcAddr} once the port is known. */
  readonly advertiseAddr: Address | undefined;
  readonly metricsAddr: Address | undefined;
  readonly store: StoreConfig;
  readonly workerKey: string | undefined;
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  /** 0: no limit. */
  readonly cacheTtlMs: number;
  readonly grpcMaxRecvBytes: number;
  readonly grpcTls: GrpcTlsConfig | undefined;
  readonly log: LogConfig;
  /** Sentences that a person should read at start-up. */
  readonly warnings: readonly string[];
  /** All flags as they are in force, without secrets. */
  readonly effective: readonly EffectiveFlag[];
}

/** A configuration, or the help that was asked for. */
export type ProcWorkerCommand =
  | { readonly kind: "config"; readonly config: ProcWorkerConfig }
  | { readonly kind: "help"; readonly text: string };

/**
 * Reads the command line and the environment. `hostname` names the machine, for the default worker id.
 *
 * @throws {ConfigError} with one line that says what is wrong.
 */
export function readProcWorkerCommand(
  args: readonly string[],
  env: Environment,
  hostname: () => string,
): ProcWorkerCommand {
  const parsed = parseFlags(procWorkerFlags, args, env);
  if (parsed.kind === "help") {
    const summary = "A processing worker of DeltaDatabase: validates, encrypts, stores and caches documents.";
    return { kind: "help", text: helpText("proc-worker", summary, procWorkerFlags) };
  }
  const { values, effective } = parsed;
  checkListeners({ "grpc-addr": values.grpcAddr, "metrics-addr": values.metricsAddr });
  const config: ProcWorkerConfig = {
    mainAddr: values.mainAddr,
    workerId: values.workerId ?? defaultWorkerId(hostname()),
    grpcAddr: values.grpcAddr,
    advertiseAddr: values.advertiseAddr,
    metricsAddr: values.metricsAddr,
    store: storeConfig(values, effective),
    workerKey: values.workerKey,
    cacheEntries: values.cacheSize,
    cacheBytes: values.cacheBytes,
    cacheTtlMs: values.cacheTtl,
    grpcMaxRecvBytes: values.grpcMaxRecvMsgSize,
    grpcTls: grpcTlsConfig(values),
    log: Object.freeze({ level: values.logLevel, format: values.logFormat }),
    warnings: Object.freeze(weakSecretWarning("worker-key", values.workerKey)),
    effective,
  };
  return { kind: "config", config: Object.freeze(config) };
}
