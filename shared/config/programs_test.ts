/** The flag tables of the two programs, and the checks between flags. */
import assert from "assert";
import { ConfigError } from "./flags.ts";
import { frontThreads, type MainWorkerConfig, mainWorkerFlags, readMainWorkerCommand } from "./main_worker.ts";
import { type ProcWorkerConfig, procWorkerFlags, readProcWorkerCommand } from "./proc_worker.ts";

const KEY = "0123456789abcdef".repeat(4);

function main(args: string[], env: Record<string, string> = {}): MainWorkerConfig {
  const command = readMainWorkerCommand(args, new Map(Object.entries(env)));
  assert.ok(command.kind === "config");
  return command.config;
}

function proc(args: string[], env: Record<string, string> = {}): ProcWorkerConfig {
  const command = readProcWorkerCommand(args, new Map(Object.entries(env)), () => "host-1");
  assert.ok(command.kind === "config");
  return command.config;
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail("accepted");
}

Deno.test("main worker: the defaults", () => {
  const { effective, warnings, ...config } = main([]);
  assert.deepEqual(config, {
    restAddr: { host: "127.0.0.1", port: 8_080 },
    grpcAddr: { host: "127.0.0.1", port: 50_051 },
    metricsAddr: undefined,
    store: { kind: "directory", root: "./data/db" },
    partitions: 64,
    partitionsAsked: false,
    masterKey: undefined,
    keyId: "main-key-v1",
    oldMasterKeys: [],
    adminKey: undefined,
    workerKey: undefined,
    workerTtlMs: 3_600_000,
    clientTtlMs: 86_400_000,
    cacheBytes: 67_108_864,
    restThreads: 1,
    restMaxBodyBytes: 1_048_576,
    grpcMaxRecvBytes: 4_194_304,
    tls: undefined,
    grpcTls: undefined,
    log: { level: "info", format: "json" },
  });
  assert.deepEqual(warnings, []);
  assert.equal(effective.length, Object.keys(mainWorkerFlags).length);
});

Deno.test("processing worker: the defaults", () => {
  const { effective, warnings, ...config } = proc([]);
  assert.deepEqual(config, {
    mainAddr: { host: "127.0.0.1", port: 50_051 },
    workerId: "proc-host-1",
    grpcAddr: { host: "127.0.0.1", port: 50_052 },
    advertiseAddr: undefined,
    metricsAddr: undefined,
    store: { kind: "directory", root: "./data/db" },
    workerKey: undefined,
    cacheEntries: 256,
    cacheBytes: 67_108_864,
    cacheTtlMs: 0,
    grpcMaxRecvBytes: 4_194_304,
    grpcTls: undefined,
    log: { level: "info", format: "json" },
  });
  assert.deepEqual(warnings, []);
  assert.equal(effective.length, Object.keys(procWorkerFlags).length);
});

Deno.test("the command lines and variables of the deployment guide", () => {
  const minio = proc([
    "-main-addr=127.0.0.1:50051",
    "-worker-id=proc-1",
    "-grpc-addr=127.0.0.1:50052",
    "-s3-endpoint=minio:9000",
    "-s3-bucket=deltadatabase",
    "-s3-use-ssl=false",
    "-s3-access-key=minioadmin",
    "-s3-secret-key=minioadmin",
  ]);
  assert.equal(minio.workerId, "proc-1");
  assert.deepEqual(minio.store, {
    kind: "bucket",
    endpoint: "minio:9000",
    bucket: "deltadatabase",
    useSsl: false,
    region: "us-east-1",
    accessKey: "minioadmin",
    secretKey: "minioadmin",
  });
  const aws = proc(
    ["-s3-endpoint=s3.amazonaws.com", "-s3-use-ssl=true", "-s3-region=eu-west-1", "-s3-bucket=my-deltadatabase-bucket"],
    { S3_ACCESS_KEY: "AKIAIOSFODNN7EXAMPLE", S3_SECRET_KEY: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  );
  assert.deepEqual(aws.store.kind === "bucket" && [aws.store.endpoint, aws.store.useSsl, aws.store.region], [
    "s3.amazonaws.com",
    true,
    "eu-west-1",
  ]);
  const container = main([], { MASTER_KEY: KEY, ADMIN_KEY: "f".repeat(48), REST_ADDR: "0.0.0.0:8080" });
  assert.equal(container.masterKey?.toHex(), KEY);
  assert.equal(container.adminKey, "f".repeat(48));
});

Deno.test("every flag has its own variable, and no two flags share one", () => {
  for (const table of [mainWorkerFlags, procWorkerFlags]) {
    const names = Object.keys(table);
    assert.ok(names.every((name) => /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)));
  }
});

Deno.test("flags that the programs share mean the same in both", () => {
  for (const name of Object.keys(mainWorkerFlags)) {
    if (!(name in procWorkerFlags) || name === "grpc-addr" || name === "cache-bytes") continue;
    assert.deepEqual(
      mainWorkerFlags[name as keyof typeof mainWorkerFlags],
      procWorkerFlags[name as keyof typeof procWorkerFlags],
      name,
    );
  }
});

Deno.test("help of both programs names every flag", () => {
  const mainHelp = readMainWorkerCommand(["-h"], new Map());
  const procHelp = readProcWorkerCommand(["--help"], new Map(), () => assert.fail("not needed for the help"));
  assert.ok(mainHelp.kind === "help" && procHelp.kind === "help");
  for (const name of Object.keys(mainWorkerFlags)) assert.ok(mainHelp.text.includes(`  -${name}`), name);
  for (const name of Object.keys(procWorkerFlags)) assert.ok(procHelp.text.includes(`  -${name}`), name);
});

Deno.test("a configuration cannot be changed", () => {
  const config = main(["-log-level=debug"]);
  for (const part of [config, config.log, config.store, config.warnings, config.effective]) {
    assert.ok(Object.isFrozen(part));
  }
});

Deno.test("no secret in what is in force", () => {
  const secrets = {
    ADMIN_KEY: "canary-admin-key-0001",
    WORKER_KEY: "canary-worker-key-001",
    MASTER_KEY: KEY,
    OLD_MASTER_KEYS: `old:${"ab".repeat(32)}`,
    S3_ENDPOINT: "minio:9000",
    S3_ACCESS_KEY: "canary-access",
    S3_SECRET_KEY: "canary-secret",
  };
  const shown = JSON.stringify([main([], secrets).effective, proc([], secrets).effective]);
  for (const secret of ["canary", KEY, "ab".repeat(32)]) assert.ok(!shown.includes(secret));
});

Deno.test("TLS: a certificate and its key come together", () => {
  assert.deepEqual(main(["-tls-cert=c", "-tls-key=k"]).tls, { cert: "c", key: "k" });
  assert.deepEqual(proc(["-grpc-tls-cert=c", "-grpc-tls-key=k", "-grpc-tls-ca=a"]).grpcTls, {
    cert: "c",
    key: "k",
    ca: "a",
    serverName: undefined,
  });
  assert.equal(refusal(() => main(["-tls-cert=c"])), "-tls-cert needs -tls-key");
  assert.equal(refusal(() => main(["-tls-key=k"])), "-tls-key needs -tls-cert");
  assert.equal(refusal(() => proc(["-grpc-tls-key=k"])), "-grpc-tls-key needs -grpc-tls-cert");
  assert.equal(main(["-grpc-tls-cert=c", "-grpc-tls-key=k", "-grpc-tls-server-name=db"]).grpcTls!.serverName, "db");
  assert.match(refusal(() => main(["-grpc-tls-server-name=db"])), /has no effect without -grpc-tls-cert/);
  assert.match(refusal(() => main(["-grpc-tls-ca=a"])), /^-grpc-tls-ca needs -grpc-tls-cert and -grpc-tls-key/);
});

Deno.test("S3: keys are needed, and a flag without the endpoint is a mistake", () => {
  assert.match(refusal(() => main(["-s3-endpoint=minio:9000"])), /^-s3-endpoint needs an access key and a secret key/);
  assert.match(refusal(() => main(["-s3-endpoint=minio:9000", "-s3-access-key=a"])), /S3_SECRET_KEY/);
  assert.equal(refusal(() => proc(["-s3-bucket=other"])), "-s3-bucket has no effect without -s3-endpoint");
  assert.equal(main([], { S3_BUCKET: "other" }).store.kind, "directory");
  assert.match(refusal(() => main(["-s3-endpoint=http://minio:9000"])), /without http:\/\//);
});

Deno.test("listeners: no two on one port", () => {
  assert.equal(
    refusal(() => main(["-rest-addr=:50051"])),
    "-rest-addr and -grpc-addr both want port 50051 (127.0.0.1:50051)",
  );
  assert.match(refusal(() => proc(["-metrics-addr=127.0.0.1:50052"])), /^-grpc-addr and -metrics-addr both want/);
  main(["-rest-addr=127.0.0.1:0", "-grpc-addr=127.0.0.1:0", "-metrics-addr=127.0.0.1:0"]);
  main(["-rest-addr=127.0.0.1:9000", "-grpc-addr=127.0.0.2:9000"]);
});

Deno.test("keys: the current id is not among the old ones", () => {
  assert.equal(main([`-old-master-keys=v0:${KEY}`]).oldMasterKeys[0]?.id, "v0");
  assert.match(
    refusal(() => main([`-old-master-keys=main-key-v1:${KEY}`])),
    /has the id of the current key, main-key-v1/,
  );
});

Deno.test("limits: a document must fit into a message", () => {
  assert.equal(main(["-rest-max-body-size=3MiB"]).restMaxBodyBytes, 3_145_728);
  assert.match(refusal(() => main(["-rest-max-body-size=4MiB"])), /needs -grpc-max-recv-msg-size=4160KiB or more/);
  main(["-rest-max-body-size=8MiB", "-grpc-max-recv-msg-size=16MiB"]);
  assert.deepEqual([main(["-partitions=64"]).partitionsAsked, main([], { PARTITIONS: "8" }).partitionsAsked], [
    true,
    true,
  ]);
  assert.match(refusal(() => main(["-partitions=48"])), /want a power of two from 1 to 1024/);
});

Deno.test("warnings: guessable secrets, a key id without its key, and doors that are open to the network", () => {
  assert.deepEqual(main(["-admin-key=short"]).warnings, ["-admin-key has fewer than 16 characters: it can be guessed"]);
  assert.deepEqual(proc(["-worker-key=short"]).warnings, [
    "-worker-key has fewer than 16 characters: it can be guessed",
  ]);
  assert.match(main(["-key-id=mine"]).warnings.join(), /-key-id names the key of -master-key, which is not given/);
  assert.deepEqual(main(["-key-id=mine", `-master-key=${KEY}`]).warnings, []);
  assert.match(main(["-rest-addr=:8080"]).warnings.join(), /there is no -admin-key/);
  assert.match(main(["-rest-addr=:8080", `-admin-key=${"x".repeat(16)}`]).warnings.join(), /travel unencrypted/);
});

Deno.test("front threads: a number, or half the cores up to 8", () => {
  assert.deepEqual([1, 2, 5, 16, 64].map((cores) => frontThreads("auto", cores)), [1, 1, 2, 8, 8]);
  assert.equal(frontThreads(3, 64), 3);
});
