/** Flags that both programs have, and the parts of a configuration that are made of them. */
import { GRPC_MESSAGE_BYTES_MAX, GRPC_MESSAGE_BYTES_MAX_DEFAULT } from "../limits.ts";
import { ConfigError, type EffectiveFlag, type FlagTable, type FlagValues } from "./flags.ts";
import {
  type Address,
  bool,
  bucketName,
  choice,
  credential,
  endpoint,
  formatAddress,
  formatSize,
  hostName,
  isUnspecified,
  listenAddress,
  type LogLevel,
  logLevel,
  path,
  region,
  size,
} from "./values.ts";

const KIB = 1_024;

/** Where the store is. */
export const storeFlags = {
  "shared-fs": {
    kind: path,
    default: "./data/db",
    group: "Storage",
    help: "Directory of the store; ignored with -s3-endpoint.",
  },
  "s3-endpoint": {
    kind: endpoint,
    absent: "off",
    group: "Storage",
    help: "S3-compatible service that holds the store instead of a directory, as host:port.",
  },
  "s3-bucket": { kind: bucketName, default: "deltadatabase", group: "Storage", help: "Bucket of the store." },
  "s3-use-ssl": { kind: bool, default: "false", group: "Storage", help: "Speak HTTPS to the S3 service." },
  "s3-region": {
    kind: region,
    default: "us-east-1",
    group: "Storage",
    help: "Region that S3 requests are signed for.",
  },
  "s3-access-key": {
    kind: credential,
    secret: true,
    group: "Storage",
    help: "Access key of the S3 service. Prefer the environment: a command line can be read by others.",
  },
  "s3-secret-key": {
    kind: credential,
    secret: true,
    group: "Storage",
    help: "Secret key of the S3 service. Prefer the environment.",
  },
} as const satisfies FlagTable;

/** TLS between the programs. */
export const grpcTlsFlags = {
  "grpc-tls-cert": { kind: path, absent: "off", group: "TLS", help: "Certificate chain (PEM) for gRPC." },
  "grpc-tls-key": { kind: path, absent: "off", group: "TLS", help: "Private key (PEM) of -grpc-tls-cert." },
  "grpc-tls-ca": {
    kind: path,
    absent: "off",
    group: "TLS",
    help: "Authorities (PEM) that the other side's certificate must come from; turns on mutual TLS.",
  },
  "grpc-tls-server-name": {
    kind: hostName,
    absent: "the host that is dialled",
    group: "TLS",
    help: "Name that the other side's certificate must be for.",
  },
} as const satisfies FlagTable;

/** What the programs say about themselves. */
export const observabilityFlags = {
  "metrics-addr": {
    kind: listenAddress,
    absent: "off",
    group: "Observability",
    help: "Address for Prometheus to fetch /metrics from.",
  },
  "log-level": { kind: logLevel, default: "info", group: "Observability", help: "Least level that is logged." },
  "log-format": {
    kind: choice(["json", "text"]),
    default: "json",
    group: "Observability",
    help: "JSON lines for machines, or text for people. Logs go to standard error.",
  },
} as const satisfies FlagTable;

/** Flags of one meaning and one spelling that stand at different places of the two helps. */
export const sharedFlags = {
  workerKey: {
    kind: credential,
    secret: true,
    absent: "none: workers prove that they can read the store",
    group: "Security",
    help: "Shared secret by which processing workers join; the same on both programs.",
  },
  grpcMaxRecvMsgSize: {
    kind: size(64 * KIB, GRPC_MESSAGE_BYTES_MAX),
    default: formatSize(GRPC_MESSAGE_BYTES_MAX_DEFAULT),
    group: "Limits",
    help: "Largest gRPC message that is accepted.",
  },
} as const satisfies FlagTable;

/** A store in a directory. */
export interface DirectoryStoreConfig {
  readonly kind: "directory";
  readonly root: string;
}

/** A store in an S3-compatible bucket. */
export interface BucketStoreConfig {
  readonly kind: "bucket";
  /** `host` or `host:port`. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly useSsl: boolean;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

export type StoreConfig = DirectoryStoreConfig | BucketStoreConfig;

/** A certificate and its key, as paths of PEM files. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
}

/** TLS of gRPC; with `ca` both sides show a certificate. */
export interface GrpcTlsConfig extends TlsConfig {
  readonly ca: string | undefined;
  /** Name that the certificate of whoever is dialled must be for; `undefined`: the host that is dialled. */
  readonly serverName: string | undefined;
}

/** How a program logs. */
export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "json" | "text";
}

/** The store that the flags name. @throws {ConfigError} */
export function storeConfig(
  values: FlagValues<typeof storeFlags>,
  effective: readonly EffectiveFlag[],
): StoreConfig {
  if (values.s3Endpoint === undefined) {
    // A variable may be set for other programs; a flag was meant for this one, and without the endpoint it would
    // silently leave the data in a local directory.
    const lost = effective.find((flag) => flag.name.startsWith("s3-") && flag.source === "flag");
    if (lost !== undefined) throw new ConfigError(`-${lost.name} has no effect without -s3-endpoint`);
    return Object.freeze({ kind: "directory", root: values.sharedFs });
  }
  const { s3AccessKey, s3SecretKey } = values;
  if (s3AccessKey === undefined || s3SecretKey === undefined) {
    throw new ConfigError(
      "-s3-endpoint needs an access key and a secret key: set S3_ACCESS_KEY and S3_SECRET_KEY in the environment",
    );
  }
  return Object.freeze({
    kind: "bucket",
    endpoint: values.s3Endpoint,
    bucket: values.s3Bucket,
    useSsl: values.s3UseSsl,
    region: values.s3Region,
    accessKey: s3AccessKey,
    secretKey: s3SecretKey,
  });
}

/** A certificate and its key, or neither. `prefix` is the flags' common beginning. @throws {ConfigError} */
export function tlsConfig(prefix: string, cert: string | undefined, key: string | undefined): TlsConfig | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw new ConfigError(`-${prefix}-key needs -${prefix}-cert`);
  if (key === undefined) throw new ConfigError(`-${prefix}-cert needs -${prefix}-key`);
  return Object.freeze({ cert, key });
}

/** TLS of gRPC. @throws {ConfigError} */
export function grpcTlsConfig(values: FlagValues<typeof grpcTlsFlags>): GrpcTlsConfig | undefined {
  const pair = tlsConfig("grpc-tls", values.grpcTlsCert, values.grpcTlsKey);
  const { grpcTlsCa: ca, grpcTlsServerName: serverName } = values;
  if (pair !== undefined) return Object.freeze({ ...pair, ca, serverName });
  if (ca !== undefined) {
    throw new ConfigError("-grpc-tls-ca needs -grpc-tls-cert and -grpc-tls-key: each program is server and client");
  }
  if (serverName !== undefined) throw new ConfigError("-grpc-tls-server-name has no effect without -grpc-tls-cert");
  return undefined;
}

/** Refuses two listeners that would want the same port. @throws {ConfigError} */
export function checkListeners(listeners: Readonly<Record<string, Address | undefined>>): void {
  const used: [string, Address][] = [];
  for (const [flag, address] of Object.entries(listeners)) {
    if (address === undefined || address.port === 0) continue;
    for (const [otherFlag, other] of used) {
      const meet = other.host === address.host || isUnspecified(other.host) || isUnspecified(address.host);
      if (other.port === address.port && meet) {
        throw new ConfigError(`-${otherFlag} and -${flag} both want port ${address.port} (${formatAddress(address)})`);
      }
    }
    used.push([flag, address]);
  }
}

const SECRET_CHARACTERS_MIN = 16;

/** A warning about a secret that could be guessed. */
export function weakSecretWarning(flag: string, secret: string | undefined): string[] {
  return secret !== undefined && secret.length < SECRET_CHARACTERS_MIN
    ? [`-${flag} has fewer than ${SECRET_CHARACTERS_MIN} characters: it can be guessed`]
    : [];
}
