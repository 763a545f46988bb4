/** What the permission sets of `deno.json` allow, in words and by trying. */
import assert from "assert";
import { variableName } from "../../shared/config/flags.ts";
import { mainWorkerFlags } from "../../shared/config/main_worker.ts";
import { procWorkerFlags } from "../../shared/config/proc_worker.ts";
import { permissionFlags, type PermissionSet, permissionSets } from "./permission_flags.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PROGRAMS = ["main-worker", "proc-worker"] as const;
const TABLES = { "main-worker": mainWorkerFlags, "proc-worker": procWorkerFlags };
/** Whether text for people is coloured; read from the environment by the logs. */
const TERMINAL = ["NO_COLOR", "FORCE_COLOR", "TERM"];

Deno.test("the programs read exactly the variables of their flags, and those of a terminal", async () => {
  const sets = await permissionSets();
  for (const program of PROGRAMS) {
    const { allow, ignore } = sets[program]!.env as { allow: string[]; ignore: boolean };
    const expected = [...Object.keys(TABLES[program]).map(variableName), ...TERMINAL];
    assert.deepEqual(allow.toSorted(), expected.toSorted(), program);
    // Libraries ask for variables of their own; those are as if they were not set.
    assert.equal(ignore, true);
  }
});

Deno.test("the programs start nothing, load nothing native, and write only where a store may be", async () => {
  const sets = await permissionSets();
  for (const program of PROGRAMS) {
    const set = sets[program]!;
    assert.deepEqual(Object.keys(set).toSorted(), ["env", "net", "read", "sys", "write"]);
    assert.deepEqual(set.write, ["./data", "/data", "/shared", "/var/lib/deltadatabase"]);
    assert.ok((set.net as { deny: string[] }).deny.includes("169.254.0.0/16"));
  }
});

Deno.test("sets as flags", () => {
  const set: PermissionSet = {
    read: true,
    run: false,
    write: ["./data", "/data"],
    net: { allow: true, deny: ["169.254.0.0/16"] },
    env: { allow: ["A", "B"], ignore: true },
  };
  assert.deepEqual(permissionFlags(set), [
    "--no-prompt",
    "--allow-read",
    "--allow-write=./data,/data",
    "--allow-net",
    "--deny-net=169.254.0.0/16",
    "--allow-env=A,B",
    "--ignore-env",
  ]);
});

/** Tries what a program must not do, and imports every library that the programs use. */
const PROBE = `
const tried: Record<string, string> = {};
async function attempt(name: string, fn: () => unknown) {
  try {
    tried[name] = String(await fn());
  } catch (error) {
    tried[name] = error instanceof Error ? error.name : String(error);
  }
}
await attempt("run", () => new Deno.Command("true").output());
await attempt("ffi", () => Deno.dlopen("libc.so.6", {}));
await attempt("write", () => Deno.writeTextFile("/tmp/deltadatabase-probe", ""));
await attempt("write beside the root", () => Deno.writeTextFile("./database", ""));
await attempt("variable", () => Deno.env.get("CANARY"));
await attempt("own variable", () => Deno.env.get("KEY_ID"));
await attempt("all variables", () => Object.values(Deno.env.toObject()).includes("canary"));
for (const address of ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"]) {
  await attempt(address, async () => (await Deno.connect({ hostname: address, port: 80 })).close());
}
await attempt("libraries", async () => {
  for (const name of LIBRARIES) await import(name);
  return "imported";
});
await attempt("s3", async () => {
  const { S3Client, ListBucketsCommand } = await import("@aws-sdk/client-s3");
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const client = new S3Client({ endpoint: "http://127.0.0.1:1", region: "us-east-1", credentials, maxAttempts: 1 });
  await client.send(new ListBucketsCommand({})).catch((error) => {
    if (error.code !== "ECONNREFUSED") throw error;
  });
  return "tried";
});
console.log(JSON.stringify(tried));
Deno.exit(0);
`;

/** Packages that the programs import; the rest of deno.json's imports is for tests and for the browser. */
const LIBRARIES = [
  "@grpc/grpc-js",
  "@grpc/reflection",
  "@logtape/logtape",
  "ajv",
  "ajv-formats",
  "grpc-health-check",
  "hono",
  "lru-cache",
  "prom-client",
  "protobufjs",
  "re2js",
];

Deno.test("the sets hold: what is forbidden is refused, libraries work, and no warning is shown", async () => {
  const source = PROBE.replace("LIBRARIES", JSON.stringify(LIBRARIES));
  const probe = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(probe, source);
    const sets = await permissionSets();
    const ways = PROGRAMS.flatMap((program) => [
      { program, flags: [`-P=${program}`, "--no-prompt"] },
      { program, flags: permissionFlags(sets[program]!) },
    ]);
    for (const { program, flags } of ways) {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-q", "--no-remote", "--no-lock", "--config", `${ROOT}deno.json`, ...flags, probe],
        cwd: ROOT,
        env: { CANARY: "canary", KEY_ID: "k1" },
      }).output();
      assert.equal(new TextDecoder().decode(stderr), "");
      const tried = JSON.parse(new TextDecoder().decode(stdout));
      assert.deepEqual(tried, {
        run: "NotCapable",
        ffi: "NotCapable",
        write: "NotCapable",
        "write beside the root": "NotCapable",
        variable: "undefined",
        "own variable": program === "main-worker" ? "k1" : "undefined",
        "all variables": "false",
        "169.254.169.254": "NotCapable",
        "::ffff:169.254.169.254": "NotCapable",
        "fd00:ec2::254": "NotCapable",
        libraries: "imported",
        s3: "tried",
      });
    }
  } finally {
    await Deno.remove(probe);
  }
});
