import assert from "assert";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { createUiAssets, type UiAsset } from "./assets.ts";
import { buildUi, manifestOf } from "./build.ts";
import manifest from "./dist/manifest.json" with { type: "json" };
import pack from "./dist/pack.json" with { type: "json" };

/** What a browser may have to fetch before the first page stands. */
const FIRST_PAGE_BYTES_MAX = 100 * 1024;

async function bytesOf(asset: UiAsset | undefined): Promise<Uint8Array> {
  assert(asset);
  return new Uint8Array(await new Response(asset.body).arrayBuffer());
}

Deno.test("what is committed is what the source builds to", async () => {
  const built = manifestOf(await buildUi());
  assert.equal(built, await Deno.readTextFile(new URL("dist/manifest.json", import.meta.url)));
});

Deno.test("every file unpacks to the size that the manifest says, in every encoding", async () => {
  const assets = createUiAssets();
  for (const [path, file] of Object.entries(manifest.files)) {
    const plain = await bytesOf(assets.get(path, ""));
    assert.equal(plain.length, file.bytes, path);
    assert.deepEqual(new Uint8Array(brotliDecompressSync(await bytesOf(assets.get(path, "gzip, br")))), plain);
    assert.deepEqual(new Uint8Array(gunzipSync(await bytesOf(assets.get(path, "gzip")))), plain);
  }
});

Deno.test("a file is unpacked once for all, and goes out in pieces of it, when they are taken", async () => {
  const assets = createUiAssets();
  const files = Object.entries(manifest.files);
  const [path, { bytes }] = files.reduce((most, file) => file[1].bytes > most[1].bytes ? file : most);
  const readers = [1, 2, 3].map(() => (assets.get(path, "")!.body as ReadableStream<Uint8Array>).getReader());
  const pieces = await Promise.all(readers.map((reader) => reader.read()));
  assert.equal(new Set(pieces.map(({ value }) => value!.buffer)).size, 1);
  let size = 0;
  for (let { done, value } = pieces[0]!; !done; { done, value } = await readers[0]!.read()) {
    assert(value!.length > 0 && value!.length <= 64 * 1024);
    size += value!.length;
  }
  assert.equal(size, bytes);
  for (const reader of readers) await reader.cancel();
});

Deno.test("the best encoding that the client takes is chosen", () => {
  const assets = createUiAssets();
  const chosen = (header: string) => assets.get("/", header)?.headers["Content-Encoding"];
  assert.equal(chosen("gzip, deflate, br, zstd"), "br");
  assert.equal(chosen("gzip, deflate"), "gzip");
  assert.equal(chosen("br;q=0, gzip"), "gzip");
  assert.equal(chosen("br;q=0.0, *"), "gzip");
  assert.equal(chosen("*"), "br");
  assert.equal(chosen("deflate"), undefined);
  assert.equal(chosen(""), undefined);
});

Deno.test("the page is revalidated, everything else is kept for ever", () => {
  const assets = createUiAssets();
  const page = assets.get("/", "br");
  assert(page);
  assert.equal(page.status, 200);
  assert.equal(page.headers["Cache-Control"], "no-cache");
  assert.match(page.headers["Content-Type"]!, /^text\/html/);
  const [script] = Object.keys(manifest.files).filter((path) => path.endsWith(".js"));
  assert.match(assets.get(script!, "br")!.headers["Cache-Control"]!, /immutable/);
  const again = assets.get("/", "br", page.headers.ETag);
  assert(again);
  assert.equal(again.status, 304);
  assert.equal(again.body, null);
  assert.equal(assets.get("/", "gzip", page.headers.ETag)?.status, 200);
});

Deno.test("a deep link gets the page, a path of nobody gets nothing", () => {
  const assets = createUiAssets();
  for (const path of ["/", "/overview", "/documents", "/documents/", "/schemas", "/keys", "/operations", "/signin"]) {
    assert.equal(assets.get(path, "")?.headers.ETag, assets.get("/", "")?.headers.ETag, path);
  }
  for (const path of ["/nothing", "/documents/a", "/assets/", "/assets/none.js", "/__proto__", "/constructor"]) {
    assert.equal(assets.get(path, ""), undefined, path);
  }
});

Deno.test("the page allows itself nothing inline and nothing from elsewhere", async () => {
  const page = createUiAssets().get("/", "");
  const policy = page!.headers["Content-Security-Policy"]!;
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  const html = new TextDecoder().decode(await bytesOf(page));
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=|https?:\/\//);
  for (const [, path] of html.matchAll(/(?:src|href)="(\/[^"]*)"/g)) {
    assert(Object.hasOwn(manifest.files, path!), path!);
  }
});

Deno.test("what the page loads first is small, and the editor is not in it", () => {
  const sizes = pack as Record<string, string>;
  const compressed = Object.keys(sizes)
    .filter((path) => !/json_editor|uPlot|meta_schema/.test(path))
    .reduce((sum, path) => sum + sizes[path]!.length * 3 / 4, 0);
  assert(compressed < FIRST_PAGE_BYTES_MAX, `${Math.round(compressed)} bytes`);
});

Deno.test("the facts are asked for at each request", async () => {
  let devMode = true;
  const assets = createUiAssets(() => ({ devMode, version: "1.2.3" }));
  const read = async () => JSON.parse(new TextDecoder().decode(await bytesOf(assets.get("/ui/facts.json", ""))));
  assert.deepEqual(await read(), { dev_mode: true, version: "1.2.3" });
  devMode = false;
  assert.equal((await read()).dev_mode, false);
  assert.equal(createUiAssets().get("/ui/facts.json", ""), undefined);
});
