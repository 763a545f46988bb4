/** Configuration of the main worker: its flags, and the checked, immutable object that they become. */
import {
  BODY_BYTES_MAX_DEFAULT,
  CACHE_BYTES_DEFAULT,
  CACHE_BYTES_MAX,
  GRPC_MESSAGE_OVERHEAD_BYTES,
  PARTITIONS_DEFAULT,
  PARTITIONS_MAX,
  REST_BODY_BYTES_MAX,
  TOKEN_TTL_MS_MAX,
  TOKEN_TTL_MS_MIN,
} from "../limits.ts";
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
  type TlsConfig,
  tlsConfig,
  weakSecretWarning,
} from "./common.ts";
import { ConfigError, type EffectiveFlag, type Environment, type FlagTable, helpText, parseFlags } from "./flags.ts";
import {
  type Address,
  credential,
  duration,
  formatSize,
  hexKey,
  isLoopback,
  keyId,
  listenAddress,
  type NamedKey,
  namedKeys,
  path,
  powerOfTwo,
  size,
  threads,
} from "./values.ts";

/** The flags of the main worker. */
export const mainWorkerFlags = {
  "rest-addr": {
    kind: listenAddress,
    default: "127.0.0.1:8080",
    group: "Addresses",
    help: "REST and the management UI.",
  },
  "grpc-addr": {
    kind: listenAddress,
    default: "127.0.0.1:50051",
    group: "Addresses",
    help: "gRPC, for processing workers and for clients.",
  },
  "admin-key": {
    kind: credential,
    secret: true,
    absent: "none: dev mode, anybody may sign in",
    group: "Security",
    help: "Bearer credential with every permission.",
  },
  "master-key": {
    kind: hexKey,
    secret: true,
    absent: "a new key at each start: earlier documents cannot be read",
    group: "Security",
    help: "Key that everything stored is encrypted under, made by: openssl rand -hex 32.",
  },
  "key-id": { kind: keyId, default: "main-key-v1", group: "Security", help: "Name of the master key." },
  "old-master-keys": {
    kind: namedKeys,
    secret: true,
    absent: "none",
    group: "Security",
    help: "Earlier master keys with their names; documents under them can be read.",
  },
  "worker-key": sharedFlags.workerKey,
  "worker-ttl": {
    kind: duration(TOKEN_TTL_MS_MIN, TOKEN_TTL_MS_MAX),
    default: "1h",
    group: "Security",
    help: "Life of a processing worker's token; it is renewed before it ends.",
  },
  "client-ttl": {
    kind: duration(TOKEN_TTL_MS_MIN, TOKEN_TTL_MS_MAX),
    default: "24h",
    group: "Security",
    help: "Life of a session that a client has logged in to.",
  },
  ...storeFlags,
  partitions: {
    kind: powerOfTwo(1, PARTITIONS_MAX),
    default: String(PARTITIONS_DEFAULT),
    group: "Storage",
    help: "Number of partitions of a new store. A store keeps the number that it was made with.",
  },
  "cache-bytes": {
    kind: size(0, CACHE_BYTES_MAX),
    default: formatSize(CACHE_BYTES_DEFAULT),
    group: "Limits",
    help: "Memory for hot documents, for all threads together; 0 turns the cache off.",
  },
  "rest-threads": {
    kind: threads,
    default: "1",
    group: "Limits",
    help: "Threads that answer clients; auto: half the cores, at most 8.",
  },
  "rest-max-body-size": {
    kind: size(1, REST_BODY_BYTES_MAX),
    default: formatSize(BODY_BYTES_MAX_DEFAULT),
    group: "Limits",
    help: "Largest request body, and largest document.",
  },
  "grpc-max-recv-msg-size": sharedFlags.grpcMaxRecvMsgSize,
  "tls-cert": { kind: path, absent: "off", group: "TLS", help: "Certificate chain (PEM) for REST and the UI." },
  "tls-key": { kind: path, absent: "off", group: "TLS", help: "Private key (PEM) of -tls-cert." },
  ...grpcTlsFlags,
  ...observabilityFlags,
} as const satisfies FlagTable;

/** What the main worker runs with. Times in milliseconds, sizes in bytes. */
export interface MainWorkerConfig {
  readonly restAddr: Address;
  readonly grpcAddr: Address;
  readonly metricsAddr: Address | undefined;
  readonly store: StoreConfig;
  /** For a store that is made now. */
  readonly partitions: number;
  /** Whether somebody asked for this very number: then a store with another one is a mistake. */
  readonly partitionsAsked: boolean;
  /** 32 bytes; `undefined`: make one. The owner overwrites it with zeros at shutdown. */
  readonly masterKey: Uint8Array<ArrayBuffer> | undefined;
  readonly keyId: string;
  readonly oldMasterKeys: readonly NamedKey[];
  /** `undefined`: dev mode. */
  readonly adminKey: string | undefined;
  readonly workerKey: string | undefined;
  readonly workerTtlMs: number;
  readonly clientTtlMs: number;
  readonly cacheBytes: number;
  /** As asked; {@linkcode frontThreads} makes a number of it. */
  readonly restThreads: number | "auto";
  readonly restMaxBodyBytes: number;
  readonly grpcMaxRecvBytes: number;
  readonly tls: TlsConfig | undefined;
  readonly grpcTls: GrpcTlsConfig | undefined;
  readonly log: LogConfig;
  /** Sentences that a person should read at start-up. */
  readonly warnings: readonly string[];
  /** All flags as they are in force, without secrets. */
  readonly effective: readonly EffectiveFlag[];
}

/** A configuration, or the help that was asked for. */
export type MainWorkerCommand =
  | { readonly kind: "config"; readonly config: MainWorkerConfig }
  | { readonly kind: "help"; readonly text: string };

/** The number of front threads that `-rest-threads` asks for on a machine with this many cores. */
export function frontThreads(restThreads: number | "auto", cores: number): number {
  return restThreads === "auto" ? Math.min(8, Math.max(1, Math.floor(cores / 2))) : restThreads;
}

/** Reads the command line and the environment. @throws {ConfigError} with one line that says what is wrong. */
export function readMainWorkerCommand(args: readonly string[], env: Environment): MainWorkerCommand {
  const parsed = parseFlags(mainWorkerFlags, args, env);
  if (parsed.kind === "help") {
    const summary = "The main worker of DeltaDatabase: REST, the management UI, and the control of processing workers.";
    return { kind: "help", text: helpText("main-worker", summary, mainWorkerFlags) };
  }
  const { values, effective } = parsed;
  const oldMasterKeys = values.oldMasterKeys ?? [];
  if (oldMasterKeys.some((key) => key.id === values.keyId)) {
    throw new ConfigError(
      `-old-master-keys has the id of the current key, ${values.keyId}; -key-id gives that another`,
    );
  }
  if (values.restMaxBodySize + GRPC_MESSAGE_OVERHEAD_BYTES > values.grpcMaxRecvMsgSize) {
    const needed = formatSize(values.restMaxBodySize + GRPC_MESSAGE_OVERHEAD_BYTES);
    throw new ConfigError(
      `-rest-max-body-size=${formatSize(values.restMaxBodySize)} needs -grpc-max-recv-msg-size=${needed} or more, ` +
        "here and on every processing worker",
    );
  }
  checkListeners({ "rest-addr": values.restAddr, "grpc-addr": values.grpcAddr, "metrics-addr": values.metricsAddr });
  const asked = (name: keyof typeof mainWorkerFlags) =>
    effective.some((flag) => flag.name === name && flag.source !== "default");
  const warnings = [
    ...weakSecretWarning("admin-key", values.adminKey),
    ...weakSecretWarning("worker-key", values.workerKey),
  ];
  if (values.masterKey === undefined && asked("key-id")) {
    warnings.push("-key-id names the key of -master-key, which is not given: the key made now gets a name of its own");
  }
  if (values.adminKey === undefined && !isLoopback(values.restAddr.host)) {
    warnings.push("there is no -admin-key and -rest-addr can be reached by other machines: they may read and write");
  }
  if (values.adminKey !== undefined && values.tlsCert === undefined && !isLoopback(values.restAddr.host)) {
    warnings.push("credentials travel unencrypted to -rest-addr: use -tls-cert, or a proxy that speaks TLS before it");
  }
  const config: MainWorkerConfig = {
    restAddr: values.restAddr,
    grpcAddr: values.grpcAddr,
    metricsAddr: values.metricsAddr,
    store: storeConfig(values, effective),
    partitions: values.partitions,
    partitionsAsked: asked("partitions"),
    masterKey: values.masterKey,
    keyId: values.keyId,
    oldMasterKeys,
    adminKey: values.adminKey,
    workerKey: values.workerKey,
    workerTtlMs: values.workerTtl,
    clientTtlMs: values.clientTtl,
    cacheBytes: values.cacheBytes,
    restThreads: values.restThreads,
    restMaxBodyBytes: values.restMaxBodySize,
    grpcMaxRecvBytes: values.grpcMaxRecvMsgSize,
    tls: tlsConfig("tls", values.tlsCert, values.tlsKey),
    grpcTls: grpcTlsConfig(values),
    log: Object.freeze({ level: values.logLevel, format: values.logFormat }),
    warnings: Object.freeze(warnings),
    effective,
  };
  return { kind: "config", config: Object.freeze(config) };
}
