/**
 * Compiled programs: which permissions they carry, and what is in them. They are built on this Deno itself, which stands in for
 * the runtime that `deno compile` would download: everything is as it would be, but the result does not start.
 */
import assert from "assert";
import { compileArguments, PROGRAMS, readArguments, TARGETS, withRoots } from "../../deploy/compile.ts";
import { permissionSets } from "../tools/permission_flags.ts";
import { attempt, ROOT, run } from "./command.ts";

/** The object that `deno compile` writes at the end of a program, and the `text` of what follows: names and files. */
async function metadata(program: string) {
  const bytes = await Deno.readFile(program);
  const text = new TextDecoder("latin1").decode(bytes);
  const start = text.lastIndexOf('{"argv":');
  assert.ok(start > 0, "there is no metadata");
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === "\\") at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) {
      return { ...JSON.parse(text.slice(start, at + 1)), text: text.slice(at) };
    }
  }
  assert.fail("the metadata has no end");
}

Deno.test("compile: programs have the permissions of their sets, and everything in them", async (t) => {
  const out = await Deno.makeTempDir({ prefix: "deltadb-compile-" });
  try {
    await run("deno", ["task", "--quiet", "compile", `--out=${out}`], { env: { DENORT_BIN: Deno.execPath() } });
    const sets = await permissionSets();
    for (const program of ["main-worker", "proc-worker"] as const) {
      const baked = await metadata(`${out}/${program}`);
      const set = sets[program]! as Record<string, { allow: string[]; deny: string[] } & string[]>;
      await t.step(`${program}: permissions`, () => {
        const { permissions } = baked;
        assert.deepEqual(permissions.allow_env, set.env!.allow);
        assert.deepEqual(permissions.ignore_env, []);
        // As they are in the set: ./data is of the folder that the program is started in, not of the one it was built in.
        assert.deepEqual(permissions.allow_write, ["./data", "/data", "/shared", "/var/lib/deltadatabase"]);
        assert.deepEqual(permissions.allow_read, []);
        assert.deepEqual(permissions.allow_net, []);
        assert.deepEqual(permissions.deny_net, set.net!.deny);
        assert.deepEqual(permissions.allow_sys, set.sys);
        assert.equal(permissions.allow_run, null);
        assert.equal(permissions.allow_ffi, null);
        assert.deepEqual(permissions.deny_import, []);
        assert.equal(permissions.prompt, false);
        assert.equal(baked.code_cache_key, null);
      });
      await t.step(`${program}: files`, () => {
        assert.equal(baked.entrypoint_key, PROGRAMS[program]);
        assert.deepEqual(baked.unstable_config.features, ["net"]);
        const contents = ["deltadb.proto", "system_disk.ts", "s3_client.ts", "client-s3", "grpc-js"];
        if (program === "main-worker") contents.push("pack.json", "manifest.json");
        for (const name of contents) assert.ok(baked.text.includes(`{"n":"${name}"`), name);
        for (const name of ["playwright-core", "fast-check", "codemirror", "_test.ts"]) {
          assert.ok(!baked.text.includes(`{"n":"${name}"`), name);
        }
        assert.ok(baked.text.includes("service ProcWorker"));
      });
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("compile: other platforms and other folders for the store", async () => {
  const sets = await permissionSets();
  const permissions = withRoots(sets["proc-worker"]!, ["/srv/db"]);
  const args = compileArguments("proc-worker", {
    target: TARGETS[1],
    output: "bin/proc-worker",
    permissions,
    exclude: [],
  });
  assert.ok(args.includes("--allow-write=./data,/data,/shared,/var/lib/deltadatabase,/srv/db"));
  assert.ok(args.includes("--target=aarch64-unknown-linux-gnu"));
  assert.ok(args.includes("--frozen"));
  assert.ok(!args.some((arg) => /^--allow-(?:all|run|ffi)|^-A$/.test(arg)));
  assert.equal(args.at(-1), "proc_worker/main.ts");
  assert.deepEqual(readArguments(["--root=/a", "--root", "/b"]).roots, ["/a", "/b"]);
  for (const bad of [["--target=vax"], ["--root=relative"], ["--root=/a,/b"], ["--what"]]) {
    assert.throws(() => readArguments(bad), Error, bad.join(" "));
  }
});

Deno.test("compile: a bad argument is one line and exit status 2", async () => {
  const { code, stderr } = await attempt("deno", ["task", "--quiet", "compile", "--target=vax"], { cwd: ROOT });
  assert.equal(code, 2);
  assert.match(stderr, /^compile: --target=vax is none of [^\n]*\n$/);
});
