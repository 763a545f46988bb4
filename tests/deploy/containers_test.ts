/**
 * Every topology of the guide, brought up with podman from the files as they are and used through the published port; and
 * what a program may not do inside its container. The images are built from source, the variant that needs no download.
 */
import assert from "assert";
import { METRIC_PREFIX } from "../../shared/metrics/families.ts";
import { freePort } from "../tools/free_port.ts";
import { findProgram } from "../tools/needs.ts";
import { Client } from "./client.ts";
import { attempt, run, until } from "./command.ts";
import { dashboardExpressions, metricNames } from "./expressions.ts";
import { type Manifest, readManifests, writeManifests } from "./manifests.ts";
import { Deployment, IMAGES, inspect, logs, missingForContainers, podman } from "./podman.ts";

const reason = await missingForContainers();
if (reason !== undefined) console.error(`left out: deployments in containers: ${reason}`);

/** The hardening of the compose files, for `podman run`. */
const HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
const APP = "/opt/deltadatabase";
const OVERRIDES = ["-f", "tests/deploy/with-s3.override.yml"];

/** Figures for people who plan a deployment. */
function report(line: string): void {
  console.error(`deploy: ${line}`);
}

Deno.test({ name: "deployments in containers", ignore: reason !== undefined }, async (t) => {
  const deployment = await Deployment.open();
  const step = (name: string, fn: () => Promise<void>) =>
    t.step(name, async () => {
      const started = performance.now();
      await fn();
      report(`${name}: ${Math.round((performance.now() - started) / 1_000)} s`);
    });
  try {
    await deployment.writeEnvironment();
    const built = await step("the images are built from the Dockerfiles", async () => {
      await deployment.build();
      for (const image of IMAGES) await checkImage(deployment, image);
    });
    if (!built) return;
    await step("a program may do nothing but its job", () => checkConfinement(deployment));
    await step("all-in-one, as the guide runs it with docker run", () => checkAllInOne(deployment));
    await step("all-in-one, with compose", () => checkTopology(deployment, "all-in-one", 1));
    await step("one main worker, one processing worker", () => checkOneAndOne(deployment));
    await step("one main worker, many processing workers", () => checkScaling(deployment));
    await step("an S3 store", () => checkS3(deployment));
    await step("monitoring", () => checkMonitoring(deployment));
    await step("the Kubernetes files", () => checkKubernetes(deployment));
  } finally {
    await deployment.close();
  }
});

async function checkImage(deployment: Deployment, name: (typeof IMAGES)[number]): Promise<void> {
  const image = await inspect(deployment.image(name));
  assert.equal(image.Config.User, "10001:10001");
  assert.deepEqual(image.Healthcheck.Test, ["CMD", "deltadatabase-health", name]);
  assert.equal(image.Config.Labels["org.opencontainers.image.version"], "test");
  assert.equal(image.Config.Labels["org.opencontainers.image.licenses"], "MIT");
  const base = await inspect("docker.io/library/debian:bookworm-slim");
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  report(`${name}: ${mebibytes(image.Size - base.Size)} on a base of ${mebibytes(base.Size)}`);
}

/** Tries what a program must not do, with the command line of the image's program but this file in its place. */
const PROBE = `
const tried = {};
async function attempt(name, fn) {
  try {
    tried[name] = String(await fn());
  } catch (error) {
    tried[name] = error.name;
  }
}
await attempt("spawn", () => new Deno.Command("true").output());
await attempt("native code", () => Deno.dlopen("libc.so.6", {}));
await attempt("write elsewhere", () => Deno.writeTextFile("/tmp/probe", ""));
await attempt("write to the store", async () => {
  await Deno.writeTextFile("/shared/db/probe", "");
  await Deno.remove("/shared/db/probe");
  return "written";
});
await attempt("another variable", () => Deno.env.get("CANARY"));
await attempt("own variable", () => Deno.env.get("LOG_LEVEL"));
await attempt("metadata service", async () => (await Deno.connect({ hostname: "169.254.169.254", port: 80 })).close());
await attempt("code from elsewhere", () => import("https://example.com/mod.ts"));
console.log(JSON.stringify(tried));
`;

async function checkConfinement(deployment: Deployment): Promise<void> {
  const probe = `${deployment.checkout}/probe.js`;
  await Deno.writeTextFile(probe, PROBE);
  await Deno.chmod(probe, 0o644);
  for (const [image, program] of [["main-worker", "main_worker"], ["proc-worker", "proc_worker"]] as const) {
    const container = [
      "run",
      "--rm",
      ...HARDENED,
      "--tmpfs=/tmp:mode=1777",
      "--env=CANARY=canary",
      "--env=LOG_LEVEL=warn",
    ];
    const mounts = [
      `--volume=${probe}:${APP}/${program}/main.ts:ro`,
      `--volume=${deployment.named("probe")}:/shared/db`,
    ];
    const { stdout, stderr } = await attempt("podman", [...container, ...mounts, deployment.image(image)]);
    assert.deepEqual(JSON.parse(stdout || `"${stderr}"`), {
      "spawn": "NotCapable",
      "native code": "NotCapable",
      "write elsewhere": "NotCapable",
      "write to the store": "written",
      "another variable": "undefined",
      "own variable": "warn",
      "metadata service": "NotCapable",
      "code from elsewhere": "TypeError",
    });
  }
  const shell = ["run", "--rm", ...HARDENED, "--entrypoint=/bin/bash", deployment.image("main-worker"), "-c"];
  assert.equal(
    await podman(...shell, "id -u; touch /x /etc/x /opt/x /usr/local/bin/x 2>/dev/null; echo $?"),
    "10001\n1",
  );
  // Files of the image belong to root, so they are safe also where the root file system can be written to.
  const writable = shell.filter((flag) => flag !== "--read-only");
  assert.equal(await podman(...writable, "find / -xdev -writable -not -path '/proc/*' -type f | head -n 3"), "");
  const elsewhere = await attempt("podman", [
    ...["run", "--rm", ...HARDENED, "--tmpfs=/tmp:mode=1777", deployment.image("main-worker")],
    "-shared-fs=/tmp/db",
  ]);
  assert.notEqual(elsewhere.code, 0);
  assert.equal(elsewhere.stderr.trim().split("\n").filter((line) => line.startsWith("main-worker:")).length, 1);
}

/** A script that does something for each process of a program in its container; `$pid` is the process. */
function eachProcess(program: string, command: string): string {
  return `for pid in $(ls /proc | grep '^[0-9]'); do
    [[ $(readlink /proc/$pid/exe) == ${APP}/deno && $(tr '\\0' ' ' </proc/$pid/cmdline) == *${program}/main.ts* ]] && ${command}
  done; true`;
}

async function checkAllInOne(deployment: Deployment): Promise<void> {
  const name = deployment.named("all-in-one");
  const client = new Client(deployment.url, deployment.adminKey);
  const start = () =>
    podman(
      ...["run", "--detach", "--name", name, ...HARDENED, `--publish=127.0.0.1:${deployment.port}:8080`],
      ...[`--env=MASTER_KEY=${deployment.masterKey}`, `--env=ADMIN_KEY=${deployment.adminKey}`],
      ...[`--volume=${deployment.named("data")}:/shared/db`, deployment.image("all-in-one")],
    );
  const started = performance.now();
  await start();
  await client.ready();
  report(`all-in-one: ready ${((performance.now() - started) / 1_000).toFixed(1)} s after run`);
  await until(
    "health",
    30,
    async () => (await attempt("podman", ["healthcheck", "run", name])).code === 0 || undefined,
  );
  report(`all-in-one at rest: ${await podman("stats", "--no-stream", "--format={{.MemUsage}}", name)}`);
  await client.store(20);

  await podman("kill", name);
  await podman("wait", name);
  await podman("start", name);
  await client.check();

  const stopping = performance.now();
  await podman("stop", "--time=20", name);
  report(`all-in-one: stopped ${((performance.now() - stopping) / 1_000).toFixed(1)} s after SIGTERM`);
  assert.equal((await inspect(name)).State.ExitCode, 0, await logs(name));

  // The end of either program is the end of the container, which restarts by its policy.
  for (const program of ["main_worker", "proc_worker"]) {
    await podman("start", name);
    await client.ready();
    // The end of the container ends this command too, so its status says nothing.
    await attempt("podman", ["exec", name, "bash", "-c", eachProcess(program, "kill -9 $pid")]);
    assert.equal(await podman("wait", name), "137");
  }
  await podman("start", name);
  await client.check();
  // What the main worker is told in secret is not in the environment of the processing worker.
  const show = eachProcess("proc_worker", "tr '\\0' '\\n' </proc/$pid/environ");
  const names = await podman("exec", name, "bash", "-c", show);
  assert.match(names, /SHARED_FS=/);
  assert.doesNotMatch(names, /MASTER_KEY|ADMIN_KEY/);
  await podman("rm", "--force", "--time=20", name);
}

/** Up, store, down, up, read: with a compose file as it is, and `.env` at the root of the checkout. */
async function checkTopology(
  deployment: Deployment,
  topology: string,
  workers: number,
  more: (client: Client) => Promise<void> = () => Promise.resolve(),
  overrides: readonly string[] = [],
): Promise<void> {
  const compose = (...args: string[]) => deployment.compose(topology, [...overrides, ...args]);
  const client = new Client(deployment.url, deployment.adminKey);
  try {
    const started = performance.now();
    await compose("up", "--detach");
    await client.ready();
    report(`${topology}: ready ${((performance.now() - started) / 1_000).toFixed(1)} s after up`);
    await client.workersAre(workers);
    await client.store(20);
    await more(client);
    if (topology !== "with-s3") {
      await compose("down", "--timeout", "20");
      await compose("up", "--detach");
      await client.check();
    }
  } catch (error) {
    report(await compose("logs", "--tail=30").catch(String));
    throw error;
  } finally {
    await compose("down", "--volumes", "--timeout", "20").catch((error) => report(String(error)));
  }
}

async function checkOneAndOne(deployment: Deployment): Promise<void> {
  await checkTopology(deployment, "one-main-one-worker", 1, async (client) => {
    // Each start brings another address of the network with it, and nobody answers at the one of before.
    for (const service of ["proc-worker", "main-worker", "main-worker", "main-worker"]) {
      const [container] = await deployment.containers(service);
      await podman("kill", container!);
      await deployment.compose("one-main-one-worker", ["up", "--detach"]);
      const started = performance.now();
      await client.check();
      await client.store(5);
      report(`${service} killed: back ${((performance.now() - started) / 1_000).toFixed(1)} s after up`);
    }
    // gRPC is for the programs among themselves.
    const published = (await inspect((await deployment.containers("main-worker"))[0]!)).NetworkSettings.Ports;
    const open = Object.entries(published).filter(([, to]) => to !== null).map(([port]) => port);
    assert.deepEqual(open, ["8080/tcp"]);
    const memory = await podman("stats", "--no-stream", "--format={{.Name}} {{.MemUsage}}");
    report(`at rest: ${memory.split("\n").filter((line) => /[_-](main|proc)-worker[_-]/.test(line)).join("; ")}`);
  });
}

async function checkScaling(deployment: Deployment): Promise<void> {
  const topology = "one-main-multiple-workers";
  await checkTopology(deployment, topology, 3, async (client) => {
    const scale = (count: number) =>
      deployment.compose(topology, ["up", "--detach", "--scale", `proc-worker=${count}`]);
    const [first] = await deployment.containers("proc-worker");
    await podman("kill", first!);
    await client.check();
    await scale(5);
    const ids = await client.workersAre(5);
    assert.equal(new Set(ids).size, 5);
    await client.check();
    await client.store(20);
    await scale(1);
    await client.workersAre(1);
    await client.check();
    await client.store(5);
  });
}

async function checkS3(deployment: Deployment): Promise<void> {
  const missing = ["radosgw", "ceph-mon", "ceph-osd", "ceph"].filter((program) => findProgram(program) === undefined);
  if (missing.length > 0) return report(`left out: an S3 store: ${missing.join(", ")} not found`);
  await checkTopology(deployment, "with-s3", 3, async (client) => {
    const [first] = await deployment.containers("proc-worker");
    await podman("kill", first!);
    await client.check();
    const [main] = await deployment.containers("main-worker");
    await podman("kill", main!);
    await deployment.compose("with-s3", [...OVERRIDES, "up", "--detach"]);
    await client.workersAre(3);
    await client.check();
  }, OVERRIDES);
}

async function checkMonitoring(deployment: Deployment): Promise<void> {
  if (findProgram("prometheus") === undefined) return report("left out: monitoring: prometheus not found");
  const overrides = ["-f", "tests/deploy/with-monitoring.override.yml"];
  const port = freePort();
  const client = new Client(deployment.url, deployment.adminKey);
  const compose = (...args: string[]) =>
    deployment.compose("with-monitoring", [...overrides, ...args], { env: { PROMETHEUS_PORT: String(port) } });
  try {
    await compose("up", "--detach", "main-worker", "proc-worker", "prometheus");
    await client.workersAre(3);
    await client.store(5);
    await client.check();
    const ask = async (path: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`).catch(() => undefined);
      return (await answer?.json())?.data;
    };
    const targets = await until("four targets that are up", 90, async () => {
      const { activeTargets } = await ask("targets") ?? { activeTargets: [] };
      const up = activeTargets.filter((target: Manifest) => target.health === "up");
      return up.length === 4 ? up : undefined;
    });
    const jobs = targets.map((target: Manifest) => target.labels.job).sort();
    assert.deepEqual(jobs, ["deltadatabase-main-worker", ...Array(3).fill("deltadatabase-proc-worker")]);
    const served = new Set<string>(await ask("metadata").then((metadata) => Object.keys(metadata)));
    const used = metricNames(await dashboardExpressions(), served).filter((name) => name.startsWith(METRIC_PREFIX));
    assert.ok(used.length > 30);
    assert.deepEqual(used.filter((name) => !served.has(name)), [], "names of the dashboard that nobody serves");
  } catch (error) {
    report(await compose("logs", "--tail=30").catch(String));
    throw error;
  } finally {
    await compose("down", "--volumes", "--timeout", "20").catch((error) => report(String(error)));
  }
}

async function checkKubernetes(deployment: Deployment): Promise<void> {
  const network = deployment.named("kube");
  const volume = deployment.named("shared");
  const secretName = deployment.named("master-key");
  const client = new Client(deployment.url, deployment.adminKey);
  // As they are, but for what podman has one of for the whole machine: names of images, volumes, secrets, and host ports.
  const prepare = async (file: string) => {
    const text = writeManifests((await readManifests(`kubernetes/${file}`)).map((manifest: Manifest) => {
      if (manifest.kind === "PersistentVolumeClaim") manifest.metadata.name = volume;
      if (manifest.kind !== "Deployment") return manifest;
      manifest.metadata.name = deployment.named(manifest.metadata.name);
      const { containers, volumes } = manifest.spec.template.spec;
      volumes[0].persistentVolumeClaim.claimName = volume;
      const [container] = containers;
      container.image = deployment.image(container.name);
      container.ports = container.ports.filter((port: Manifest) => port.name === "rest");
      for (const published of container.ports) {
        Object.assign(published, { hostPort: deployment.port, hostIP: "127.0.0.1" });
      }
      return manifest;
    }));
    const path = `${deployment.checkout}/${file}`;
    await Deno.writeTextFile(path, text.replaceAll("delta-master-key", secretName));
    return path;
  };
  const keys = { "master-key": btoa(deployment.masterKey), "admin-key": btoa(deployment.adminKey) };
  const [, minor] = (await podman("--version")).match(/ 4\.(\d+)/) ?? [];
  if (minor !== undefined && Number(minor) < 4) {
    // This podman looks for the keys themselves in its secret, and not for the manifest that it puts there.
    await run("podman", ["secret", "create", secretName, "-"], { input: JSON.stringify(keys) });
  } else {
    const manifest = { apiVersion: "v1", kind: "Secret", metadata: { name: secretName }, data: keys };
    await Deno.writeTextFile(`${deployment.checkout}/secret.yaml`, writeManifests([manifest]));
    await podman("kube", "play", `${deployment.checkout}/secret.yaml`);
  }
  await podman("network", "create", network);
  await podman("kube", "play", await prepare("shared-pvc.yaml"));
  // In the cluster, the name is the service's.
  await podman("kube", "play", `--network=${network}:alias=main-worker`, await prepare("main-worker.yaml"));
  const worker = await prepare("proc-worker.yaml");
  await podman("kube", "play", `--network=${network}`, worker);
  await client.ready();
  await client.store(10);
  for (const program of ["main-worker", "proc-worker"]) {
    const container = `${deployment.named(program)}-pod-0-${program}`;
    const { Config, HostConfig, EffectiveCaps } = await inspect(container);
    assert.equal(Config.User, "10001:10001");
    assert.equal(HostConfig.ReadonlyRootfs, true);
    assert.equal((EffectiveCaps ?? []).length, 0);
    assert.equal(HostConfig.Memory, 2 ** 30);
    // The liveness probe.
    await podman("exec", container, "deltadatabase-health", "alive");
  }
  // A pod that is killed is replaced by another.
  await podman("pod", "kill", `${deployment.named("proc-worker")}-pod-0`);
  await podman("pod", "rm", "--force", `${deployment.named("proc-worker")}-pod-0`);
  await podman("kube", "play", `--network=${network}`, worker);
  await client.check();
  for (const program of ["proc-worker", "main-worker"]) {
    const name = `${deployment.named(program)}-pod-0`;
    await podman("pod", "stop", "--time=20", name);
    assert.equal((await inspect(`${name}-${program}`)).State.ExitCode, 0);
    await podman("pod", "rm", "--force", name);
  }
}
