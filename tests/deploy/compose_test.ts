/** The compose files: the guide's names, ports and numbers, no secret that everybody knows, nothing open without need. */
import assert from "assert";
import { attempt, ROOT } from "./command.ts";
import { filesOf, type Manifest, readManifest } from "./manifests.ts";

const FOLDER = "docker-compose";
const TOPOLOGIES = ["all-in-one", "one-main-one-worker", "one-main-multiple-workers", "with-s3", "with-monitoring"];
const OURS = /^(?:deltadatabase|main-worker|proc-worker)$/;

function services(topology: string): Promise<Record<string, Manifest>> {
  return readManifest(`${FOLDER}/docker-compose.${topology}.yml`).then((file) => file.services);
}

Deno.test("compose: a file for each topology of the guide", async () => {
  assert.deepEqual(filesOf(FOLDER, ".yml"), TOPOLOGIES.map((topology) => `docker-compose.${topology}.yml`).sort());
  const scales = await Promise.all(
    TOPOLOGIES.slice(1).map(async (name) => (await services(name))["proc-worker"].scale),
  );
  assert.deepEqual(scales, [undefined, 3, 3, 3]);
});

for (const topology of TOPOLOGIES) {
  Deno.test(`compose: ${topology} is confined, gated by health, and has no default secret`, async () => {
    const file = await readManifest(`${FOLDER}/docker-compose.${topology}.yml`);
    const all: [string, Manifest][] = Object.entries(file.services);
    const programs = all.filter(([name]) => OURS.test(name));
    for (const [name, service] of programs) {
      const image = name === "deltadatabase" ? "all-in-one" : name;
      assert.equal(service.image, `\${IMAGE_REPOSITORY:-donti/deltadatabase}:${image}-\${IMAGE_TAG:-latest}`);
      assert.equal(service.build.dockerfile, `deploy/docker/Dockerfile.${image}`);
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ["ALL"]);
      assert.deepEqual(service.security_opt, ["no-new-privileges:true"]);
      assert.ok(parseInt(service.stop_grace_period) > 9);
      if (name !== "proc-worker") {
        assert.equal(service.environment.MASTER_KEY, "${MASTER_KEY:-}");
        assert.equal(service.environment.ADMIN_KEY, "${ADMIN_KEY:-}");
      } else {
        assert.deepEqual(service.depends_on, { "main-worker": { condition: "service_healthy" } });
        assert.equal(service.environment.MAIN_ADDR, "main-worker:50051");
        assert.equal(service.ports, undefined);
        // What several containers would share, and must not.
        for (const field of ["container_name", "hostname"]) assert.equal(service[field], undefined);
        assert.equal(service.environment.WORKER_ID, undefined);
      }
    }
    const published = all.flatMap(([, { ports }]) => ports ?? []);
    for (const port of published) assert.match(port, /^(?:127\.0\.0\.1|\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}):/);
    const targets = published.map((port: string) => port.split(":").at(-1)).sort();
    const others: Record<string, string[]> = { "with-s3": ["9001"], "with-monitoring": ["3000", "9090"] };
    assert.deepEqual(targets, ["8080", ...others[topology] ?? []].sort());
    const secrets = JSON.stringify(all).match(/\$\{[A-Z0-9_]*(?:KEY|SECRET|PASSWORD)[A-Z0-9_]*:-[^}]+\}/g) ?? [];
    assert.deepEqual(
      new Set(secrets),
      new Set(topology === "with-s3" ? ["${S3_ACCESS_KEY:-minioadmin}", "${S3_SECRET_KEY:-minioadmin}"] : []),
    );
    // Data is in named volumes, which outlive `down`.
    const stores = topology === "with-s3" ? all.filter(([name]) => name === "minio") : programs;
    for (const [, { volumes }] of stores) assert.ok(file.volumes[volumes[0].split(":")[0]] !== undefined);
  });
}

Deno.test("compose: .env at the root of the checkout is found, and is in no image and in no commit", async () => {
  assert.equal(await Deno.readLink(`${ROOT}deploy/${FOLDER}/.env`), "../../.env");
  assert.match(await Deno.readTextFile(`${ROOT}.gitignore`), /^\.env$/m);
  assert.match(await Deno.readTextFile(`${ROOT}.dockerignore`), /^\*\*\/\.env$/m);
  const { stdout, code } = await attempt("git", ["ls-files", ".env"]);
  if (code === 0) assert.equal(stdout, "");
});

Deno.test("images: the three files share their build, and run as nobody in particular", async () => {
  const texts = await Promise.all(
    ["all-in-one", "main-worker", "proc-worker"].map((name) =>
      Deno.readTextFile(`${ROOT}deploy/docker/Dockerfile.${name}`)
    ),
  );
  const stages = texts.map((text) => text.slice(text.indexOf("ARG DENO_IMAGE"), text.indexOf("\nFROM ${BASE_IMAGE}")));
  assert.equal(new Set(stages).size, 1);
  for (const text of texts) {
    const last = text.slice(text.indexOf("\nFROM ${BASE_IMAGE}"));
    assert.match(last, /^USER 10001:10001$/m);
    assert.match(last, /^HEALTHCHECK /m);
    // What would have to be emulated for another platform.
    assert.doesNotMatch(last, /^RUN /m);
  }
});
