/**
 * Brings the product up in containers, with podman in Docker's place: images from the Dockerfiles as they are, compose files
 * through podman's service for Docker's clients, and health checks, which podman leaves to a systemd that may not be there.
 */
import { freePort } from "../tools/free_port.ts";
import { findProgram } from "../tools/needs.ts";
import { attempt, type Finished, ROOT, run, type RunOptions, secret } from "./command.ts";

/** The images, by what their tags begin with. */
export const IMAGES = ["all-in-one", "main-worker", "proc-worker"] as const;

const BASE_IMAGES = ["docker.io/denoland/deno:2.9.6", "docker.io/library/debian:bookworm-slim"];
/** A program that makes podman work and prepares base images, on machines that reach no registry of images. */
const KIT = new URL("../shared/tools/container-kit", `file://${ROOT}`).pathname;
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";
/** What a build reads; a copy, so that a file that changes meanwhile does not change the image. */
const CONTEXT = [
  ".dockerignore",
  "deno.json",
  "deno.lock",
  "LICENSE",
  "proto",
  "shared",
  "main_worker",
  "proc_worker",
  "deploy",
  "tests/tools",
  "tests/deploy",
];

/** Why nothing can be brought up on this machine, or `undefined` once everything that it takes is there. */
export async function missingForContainers(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "podman runs containers of its machine only on Linux";
  const kit = await Deno.stat(KIT).then(() => true, () => false);
  if (kit) {
    const { code, stderr } = await attempt(KIT, []);
    if (code !== 0) return `containers could not be prepared: ${stderr.trim().split("\n").at(-1)}`;
  }
  if (findProgram("podman") === undefined) return "podman not found (Debian: apt-get install podman)";
  if (findProgram("docker-compose") === undefined) {
    return "docker-compose not found (Debian: apt-get install docker-compose)";
  }
  for (const image of BASE_IMAGES) {
    if ((await attempt("podman", ["image", "exists", image])).code === 0) continue;
    if ((await attempt("timeout", ["120", "podman", "pull", "-q", image])).code !== 0) {
      return `${image} is neither here nor to be had`;
    }
  }
  return undefined;
}

/** What `podman inspect` says of a container or an image, as far as the tests look. */
// deno-lint-ignore no-explicit-any
export type Inspection = any;

export async function podman(...args: string[]): Promise<string> {
  return (await run("podman", args)).trim();
}

export async function inspect(name: string): Promise<Inspection> {
  return JSON.parse(await podman("inspect", name))[0];
}

/** Images, and a place to run compose files from, as a checkout with a `.env` in it. */
export class Deployment {
  /** A copy of the checkout's files that a deployment needs. */
  readonly checkout: string;
  readonly port: number = freePort();
  readonly masterKey: string = secret(32);
  readonly adminKey: string = secret(24);
  readonly #name: string;
  readonly #service: Deno.ChildProcess;
  readonly #stop = new AbortController();
  readonly #health: Promise<void>;

  private constructor(checkout: string, name: string) {
    this.checkout = checkout;
    this.#name = name;
    this.#service = new Deno.Command("podman", {
      args: ["system", "service", "--time=0", this.#socket],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#health = this.#checkHealth();
  }

  /** Makes the checkout, and serves Docker's clients. */
  static async open(): Promise<Deployment> {
    const checkout = await Deno.makeTempDir({ prefix: "deltadb-deploy-" });
    await run("sh", ["-c", `tar -cf - ${CONTEXT.join(" ")} | tar -xf - -C ${checkout}`]);
    return new Deployment(checkout, `ddb${secret(4)}`);
  }

  get #socket(): string {
    return `unix://${this.checkout}/podman.sock`;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The local name of an image. */
  image(name: (typeof IMAGES)[number] | "build"): string {
    return `localhost/${this.#name}:${name}-latest`;
  }

  /** Builds the images from source. The stage that they share has a name too, so that it can be removed. */
  async build(): Promise<void> {
    const stages = [["build", "main-worker", "--target=build"], ...IMAGES.map((name) => [name, name])] as const;
    for (const [name, file, ...target] of stages) {
      await run("podman", [
        ...["build", "--quiet", "--format=docker", "--build-arg=VARIANT=source", ...target],
        ...["--build-arg=VERSION=test", `--volume=${CERTIFICATES}:${CERTIFICATES}:ro`],
        ...["--file", `deploy/docker/Dockerfile.${file}`, "--tag", this.image(name as "build"), "."],
      ], { cwd: this.checkout });
    }
  }

  /** Writes the `.env` that the guide tells to write; it also says which images, and which port of this machine. */
  async writeEnvironment(): Promise<void> {
    await Deno.writeTextFile(
      `${this.checkout}/.env`,
      `MASTER_KEY=${this.masterKey}\nADMIN_KEY=${this.adminKey}\nPUBLISH_PORT=${this.port}\n` +
        `IMAGE_REPOSITORY=localhost/${this.#name}\n`,
    );
  }

  /** `docker compose -f deploy/docker-compose/docker-compose.<topology>.yml …`, from the root of the checkout. */
  async compose(topology: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    return await run("docker-compose", [
      ...["-p", this.#name, "-f", `deploy/docker-compose/docker-compose.${topology}.yml`],
      ...args,
    ], { ...options, cwd: this.checkout, env: { DOCKER_HOST: this.#socket, ...options.env } });
  }

  /** Names of the running containers of a service, sorted. */
  async containers(service: string): Promise<string[]> {
    const listed = await podman("ps", "--format={{.Names}}", `--filter=name=^${this.#name}[_-]${service}[_-]`);
    return listed.split("\n").filter((name) => name !== "").sort();
  }

  /** A name in podman for something of this deployment, which {@linkcode close} removes. */
  named(what: string): string {
    return `${this.#name}-${what}`;
  }

  async #checkHealth(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      // Only what somebody may wait for.
      const unknown = ["--filter=health=starting", "--filter=health=unhealthy"];
      const { stdout } = await attempt("podman", ["ps", "--quiet", `--filter=name=^${this.#name}`, ...unknown]);
      for (const container of stdout.split("\n").filter((id) => id !== "")) {
        if (signal.aborted) break;
        await attempt("podman", ["healthcheck", "run", container]);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 500);
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
      });
    }
  }

  /** Removes every container, volume, network and image that came into being here. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#health;
    const lines = async (...args: string[]) =>
      (await attempt("podman", args)).stdout.split("\n").filter((line) => line !== "");
    const filter = `--filter=name=${this.#name}`;
    for (const pod of await lines("pod", "ps", "--format={{.Name}}", filter)) {
      await attempt("podman", ["pod", "rm", "-f", pod]);
    }
    const containers = await lines("ps", "--all", "--quiet", filter);
    if (containers.length > 0) await attempt("podman", ["rm", "-f", "-v", ...containers]);
    for (const kind of ["volume", "network", "secret"]) {
      for (const name of await lines(kind, "ls", "--format={{.Name}}", filter)) {
        await attempt("podman", [kind, "rm", name]);
      }
    }
    this.#service.kill("SIGTERM");
    await this.#service.status;
    for (const image of [...IMAGES, "build"] as const) await attempt("podman", ["rmi", this.image(image)]);
    await Deno.remove(this.checkout, { recursive: true });
  }
}

/** What a program in a container said. */
export async function logs(container: string): Promise<string> {
  const { stdout, stderr }: Finished = await attempt("podman", ["logs", container]);
  return stdout + stderr;
}
