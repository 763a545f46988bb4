import assert from "assert";
import plugin from "./dependency_rules.ts";

const root = new URL("../../", import.meta.url).pathname;

/** What the rules say of `source` as the file `path` of the tree. */
function findings(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, root + path, source).map((diagnostic) => diagnostic.message);
}

function finds(path: string, source: string, message: RegExp): void {
  const found = findings(path, source);
  assert.ok(found.length === 1 && message.test(found[0]!), `${path}: ${source}: ${JSON.stringify(found)}`);
}

function passes(path: string, source: string): void {
  assert.deepEqual(findings(path, source), [], `${path}: ${source}`);
}

Deno.test("shared/ imports neither worker, and the workers never each other", () => {
  finds("shared/wire/a.ts", 'import { x } from "../../main_worker/b.ts";', /^shared\/ does not import main_worker\//);
  finds("shared/a.ts", 'export * from "../proc_worker/b.ts";', /^shared\/ does not import proc_worker\//);
  finds("shared/a.ts", 'export { x } from "../proc_worker/b.ts";', /does not import/);
  finds("shared/a_test.ts", 'import "../main_worker/b.ts";', /does not import/);
  finds(
    "main_worker/a.ts",
    'import type { X } from "../proc_worker/b.ts";',
    /^main_worker\/ does not import proc_worker\//,
  );
  finds("main_worker/a.ts", 'type X = import("../proc_worker/b.ts").X;', /does not import/);
  finds(
    "proc_worker/execute/a.ts",
    'await import("../../main_worker/b.ts");',
    /^proc_worker\/ does not import main_worker\//,
  );
  finds("proc_worker/a.ts", 'new Worker(new URL("../main_worker/b.ts", import.meta.url));', /does not import/);
  passes("main_worker/front/a.ts", 'import { x } from "../control/b.ts"; import { y } from "../../shared/c.ts";');
  passes(
    "tests/system/a.ts",
    'import { x } from "../../main_worker/b.ts"; import { y } from "../../proc_worker/c.ts";',
  );
});

Deno.test("the product imports neither tests nor anything outside the tree", () => {
  finds("main_worker/a.ts", 'import { x } from "../tests/sim/b.ts";', /does not import tests\//);
  finds("shared/a.ts", 'import { x } from "./b_test.ts";', /does not import tests/);
  finds("shared/a.ts", 'import { x } from "../../elsewhere/b.ts";', /outside the tree/);
  passes("shared/a_test.ts", 'import { x } from "./b_test.ts"; import { y } from "../tests/tools/needs.ts";');
});

Deno.test("dependencies are named in deno.json alone", () => {
  for (const specifier of ["npm:hono@4", "jsr:@std/assert", "https://example.com/a.ts"]) {
    finds("tests/a.ts", `import x from "${specifier}";`, /by their name in deno\.json/);
  }
  passes("shared/a.ts", 'import { Hono } from "hono"; import { createHash } from "node:crypto";');
});

Deno.test("gRPC only in shared/wire, S3 and SQLite only in shared/storage", () => {
  finds("main_worker/front/grpc/a.ts", 'import type { Server } from "@grpc/grpc-js";', /belongs to shared\/wire\//);
  finds("shared/logging/a.ts", 'import "grpc-health-check";', /belongs to shared\/wire\//);
  finds("proc_worker/a.ts", 'import { DatabaseSync } from "node:sqlite";', /belongs to shared\/storage\//);
  finds("main_worker/a.ts", 'await import("@aws-sdk/client-s3");', /belongs to shared\/storage\//);
  passes("shared/wire/grpc/a.ts", 'import { Server } from "@grpc/grpc-js";');
  passes("shared/storage/directory/a.ts", 'import { DatabaseSync } from "node:sqlite";');
  passes("shared/storage/bucket/a.ts", 'await import("@aws-sdk/client-s3");');
  passes("main_worker/a_test.ts", 'import { Client } from "@grpc/grpc-js";');
  passes("bench/a.ts", 'import { DatabaseSync } from "node:sqlite";');
});

Deno.test("file APIs only in shared/storage, and where the list says", () => {
  finds("main_worker/a.ts", "await Deno.writeTextFile('x', '');", /Deno\.writeTextFile belongs to shared\/storage\//);
  finds("proc_worker/a.ts", "Deno.openSync('x');", /Deno\.openSync/);
  finds("proc_worker/a.ts", "Deno['readFile']('x');", /Deno\.readFile/);
  finds("shared/crypto/a.ts", "const { remove } = Deno;", /Deno\.remove/);
  finds("shared/wire/a.ts", "await Deno.remove('x');", /Deno\.remove/);
  finds("shared/config/a.ts", 'import fs from "node:fs";', /node:fs belongs/);
  passes("shared/storage/directory/a.ts", "await Deno.open('x'); import('node:fs/promises');");
  passes("shared/wire/a.ts", "await Deno.readTextFile('proto/deltadb.proto');");
  passes("shared/process/dev.ts", "await Deno.writeTextFile('data/dev.env', '');");
  passes("main_worker/a.ts", "Deno.exit(0); Deno.serve(() => new Response()); other.readFile('x');");
  passes("main_worker/a_test.ts", "await Deno.makeTempDir();");
});

Deno.test("encryption only in shared/crypto", () => {
  for (
    const method of [
      "encrypt",
      "decrypt",
      "wrapKey",
      "unwrapKey",
      "deriveKey",
      "deriveBits",
      "importKey",
      "generateKey",
    ]
  ) {
    finds(
      "proc_worker/a.ts",
      `await crypto.subtle.${method}();`,
      /Web Crypto, except digest, belongs to shared\/crypto\//,
    );
  }
  finds("main_worker/a.ts", "const subtle = globalThis.crypto.subtle;", /Web Crypto/);
  finds("main_worker/a.ts", "const { subtle } = crypto;", /Web Crypto/);
  finds(
    "main_worker/a.ts",
    'import { createCipheriv } from "node:crypto";',
    /createCipheriv belongs to shared\/crypto\//,
  );
  finds("main_worker/a.ts", 'import { createHash, hkdfSync } from "node:crypto";', /hkdfSync belongs/);
  finds("main_worker/a.ts", 'import crypto from "node:crypto";', /by name/);
  finds("main_worker/a.ts", 'import * as c from "node:crypto";', /by name/);
  passes("main_worker/a.ts", 'import { createHash, timingSafeEqual } from "node:crypto"; crypto.getRandomValues(x);');
  passes("main_worker/a.ts", "await crypto.subtle.digest('SHA-256', x);");
  passes("shared/crypto/a.ts", 'import { hkdfSync } from "node:crypto"; crypto.subtle.encrypt();');
  passes("shared/wire/a_test.ts", "crypto.subtle.generateKey();");
});

Deno.test("deno lint runs the rules, as deno.json tells it to", async () => {
  const { lint } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const tree = await Deno.makeTempDir({ prefix: "deltadatabase-rules-" });
  try {
    await Deno.mkdir(`${tree}/tests/tools`, { recursive: true });
    await Deno.mkdir(`${tree}/main_worker`);
    await Deno.copyFile(new URL("dependency_rules.ts", import.meta.url), `${tree}/tests/tools/dependency_rules.ts`);
    await Deno.writeTextFile(`${tree}/deno.json`, JSON.stringify({ lint }));
    await Deno.writeTextFile(`${tree}/main_worker/a.ts`, 'export * from "../proc_worker/b.ts";\n');
    const command = new Deno.Command(Deno.execPath(), { args: ["lint", "--json"], cwd: tree, env: { NO_COLOR: "1" } });
    const { code, stdout } = await command.output();
    const { diagnostics } = JSON.parse(new TextDecoder().decode(stdout));
    assert.equal(code, 1);
    assert.deepEqual(diagnostics.map(({ code, message }: { code: string; message: string }) => [code, message]), [
      ["deltadatabase/boundaries", "main_worker/ does not import proc_worker/"],
    ]);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});
