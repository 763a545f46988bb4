/**
 * Builds the management UI into `dist/`: `deno run -A main_worker/ui/build.ts` writes it, `--check` says whether it is up
 * to date. The result is committed, so that a fresh clone serves the UI without a build.
 */
import { createHash } from "node:crypto";
import { brotliCompressSync, constants } from "node:zlib";

/** One built file, before compression. */
interface Built {
  readonly path: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

const HERE = new URL("./", import.meta.url);
const STYLES = [
  "tokens",
  "base",
  "components",
  "shell",
  "signin",
  "overview",
  "documents",
  "schemas",
  "keys",
  "operations",
];
const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  html: "text/html; charset=utf-8",
};

const encoder = new TextEncoder();

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

function named(stem: string, extension: string, text: string): Built {
  const bytes = encoder.encode(text);
  return { path: `/assets/${stem}-${digest(bytes).slice(0, 8)}.${extension}`, type: TYPES[extension]!, bytes };
}

/** Drops comments and white space that CSS does not need. Our style sheets hold no string with either in it. */
function minifyCss(text: string): string {
  return text.replace(/\/\*[^]*?\*\//g, "").replace(/\s+/g, " ").replace(/ ?([{};,]) ?/g, "$1").replaceAll(";}", "}")
    .replace(/: /g, ":").trim();
}

async function bundle(outDir: string, ...entries: readonly string[]): Promise<Map<string, string>> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--minify",
      "--code-splitting",
      "--platform=browser",
      `--outdir=${outDir}`,
      ...entries.map((entry) => new URL(`src/${entry}`, HERE).pathname),
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno bundle failed:\n${new TextDecoder().decode(stderr)}`);
  const scripts = new Map<string, string>();
  for await (const entry of Deno.readDir(outDir)) {
    scripts.set(entry.name, await Deno.readTextFile(`${outDir}/${entry.name}`));
  }
  return renamed(scripts);
}

/** A chunk as the bundler names it; the hash in it also depends on where the checkout and the cache of packages are. */
const CHUNK = /[\w.]+-[A-Z0-9]{8}\.js/g;

/** Names chunks by what is in them, so that every machine builds the same. Chunks import each other without cycles. */
function renamed(scripts: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map<string, string>();
  const result = new Map<string, string>();
  const settle = (name: string): string => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const text = scripts.get(name)!.replace(CHUNK, (other) => scripts.has(other) ? settle(other) : other);
    const own = name.replace(/-[A-Z0-9]{8}\.js$/, `-${digest(encoder.encode(text)).slice(0, 8)}.js`);
    names.set(name, own);
    result.set(own, text);
    return own;
  };
  for (const name of [...scripts.keys()].sort()) settle(name);
  return result;
}

/** Builds everything in memory. */
export async function buildUi(): Promise<readonly Built[]> {
  const outDir = await Deno.makeTempDir({ prefix: "deltadb-ui-" });
  try {
    const scripts = await bundle(outDir, "main.tsx", "theme.ts");
    const main = scripts.get("main.js")!;
    const early = named("theme", "js", scripts.get("theme.js")!);
    scripts.delete("main.js");
    scripts.delete("theme.js");
    const app = named("app", "js", main);
    const chunks = [...scripts].map(([name, text]): Built => ({
      path: `/assets/${name}`,
      type: TYPES.js!,
      bytes: encoder.encode(text),
    }));
    const styles = await Promise.all(
      STYLES.map((name) => Deno.readTextFile(new URL(`src/styles/${name}.css`, HERE))),
    );
    const css = named("app", "css", minifyCss(styles.join("\n")));
    const icon = named("icon", "svg", await Deno.readTextFile(new URL("src/icon.svg", HERE)));
    const preloads = [...main.matchAll(/from"\.\/([\w.-]+\.js)"/g)]
      .map((match) => `<link rel="modulepreload" href="/assets/${match[1]}">`);
    const html = (await Deno.readTextFile(new URL("src/index.html", HERE)))
      .replace("%theme%", early.path).replace("%icon%", icon.path).replace("%style%", css.path)
      .replace("%script%", app.path).replace("%preloads%", [...new Set(preloads)].join(""));
    const page: Built = { path: "/index.html", type: TYPES.html!, bytes: encoder.encode(html) };
    return [page, app, early, css, icon, ...chunks].sort((a, b) => a.path < b.path ? -1 : 1);
  } finally {
    await Deno.remove(outDir, { recursive: true });
  }
}

/** The manifest of a build, as it is written to `dist/manifest.json`. */
export function manifestOf(files: readonly Built[]): string {
  const entries = files.map(({ path, type, bytes }) => [path, { type, hash: digest(bytes), bytes: bytes.length }]);
  return JSON.stringify({ files: Object.fromEntries(entries) }, null, 2) + "\n";
}

function compress(bytes: Uint8Array): string {
  const options = {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  };
  return brotliCompressSync(bytes, options).toString("base64");
}

async function main(): Promise<void> {
  const files = await buildUi();
  const manifest = manifestOf(files);
  const manifestFile = new URL("dist/manifest.json", HERE);
  if (Deno.args.includes("--check")) {
    const committed = await Deno.readTextFile(manifestFile).catch(() => "");
    if (committed === manifest) return;
    console.error("main_worker/ui/dist is not what its source builds to: run deno run -A main_worker/ui/build.ts");
    Deno.exit(1);
  }
  await Deno.mkdir(new URL("dist/", HERE), { recursive: true });
  await Deno.writeTextFile(manifestFile, manifest);
  const pack = Object.fromEntries(files.map(({ path, bytes }) => [path, compress(bytes)]));
  await Deno.writeTextFile(new URL("dist/pack.json", HERE), JSON.stringify(pack, null, 2) + "\n");
  for (const { path, bytes } of files) {
    console.log(`${path.padEnd(44)} ${bytes.length} bytes, ${Math.ceil(pack[path]!.length * 3 / 4)} compressed`);
  }
}

if (import.meta.main) await main();
