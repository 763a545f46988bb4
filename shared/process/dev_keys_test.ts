import assert from "assert";
import { ConfigError } from "../config/flags.ts";
import { systemRandom } from "../seams/random.ts";
import { devKeys, readVariable } from "./dev_keys.ts";

async function inTemporaryFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "deltadatabase-dev-" });
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const modeOf = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;

Deno.test("the first start makes a key that every later one reads, in a file for its owner alone", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/dev.env`;
    const first = await devKeys(path, systemRandom);
    assert.match(first.masterKey, /^[0-9a-f]{64}$/);
    assert.equal(first.adminKey, undefined);
    assert.equal(await modeOf(path), 0o600);
    assert.deepEqual(await devKeys(path, systemRandom), first);
    assert.deepEqual(Array.from(Deno.readDirSync(folder), (entry) => entry.name), ["dev.env"]);
  }));

Deno.test("what a person wrote into the file stays, and a mode that is too open is closed", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/dev.env`;
    await Deno.writeTextFile(path, "# mine\nADMIN_KEY='let me in'", { mode: 0o644 });
    const keys = await devKeys(path, systemRandom);
    assert.equal(keys.adminKey, "let me in");
    assert.equal(await Deno.readTextFile(path), `# mine\nADMIN_KEY='let me in'\nMASTER_KEY=${keys.masterKey}\n`);
    assert.equal(await modeOf(path), 0o600);
    await Deno.chmod(path, 0o644);
    await devKeys(path, systemRandom);
    assert.equal(await modeOf(path), 0o600);
  }));

Deno.test("two first starts at once agree on one key", () =>
  inTemporaryFolder(async (folder) => {
    const all = await Promise.all(Array.from({ length: 8 }, () => devKeys(`${folder}/dev.env`, systemRandom)));
    assert.equal(new Set(all.map((keys) => keys.masterKey)).size, 1);
    assert.deepEqual(Array.from(Deno.readDirSync(folder), (entry) => entry.name), ["dev.env"]);
  }));

Deno.test("a master key that is none is an error that does not repeat it", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/dev.env`, "MASTER_KEY=canary\n");
    await assert.rejects(
      devKeys(`${folder}/dev.env`, systemRandom),
      (error) => error instanceof ConfigError && !error.message.includes("canary"),
    );
  }));

Deno.test("variables: comments, quotes, export, the last one wins", () => {
  const text = '# A=0\nexport A=1\n B = "two words" \nC=\nA=3\nAB=4\n';
  assert.deepEqual(["A", "B", "C", "D"].map((name) => readVariable(text, name)), [
    "3",
    "two words",
    undefined,
    undefined,
  ]);
});
