/**
 * The rules of dependency between the rooms of the tree, as a plugin of `deno lint`: `deno task check` and the editor
 * both show a violation at the line where it stands.
 */

const ROOT = new URL("../../", import.meta.url).pathname;

/** Rooms whose code is the product; the rest of the tree tests and measures it. */
const PRODUCT = ["shared", "main_worker", "proc_worker"];

/** What a room of the product may not import from. */
const CLOSED_TO: Readonly<Record<string, readonly string[]>> = {
  shared: ["main_worker", "proc_worker"],
  main_worker: ["proc_worker"],
  proc_worker: ["main_worker"],
};

/** Rooms that only tests may import from. */
const TEST_ROOMS = ["tests", "bench", "deploy"];

/** Packages that one room keeps to itself. */
const OWNED_PACKAGES: readonly { pattern: RegExp; room: string; why: string }[] = [
  { pattern: /^(?:@grpc\/|grpc-health-check)/, room: "shared/wire/", why: "nothing else touches gRPC" },
  { pattern: /^(?:@aws-sdk\/|@smithy\/|@aws-crypto\/)/, room: "shared/storage/", why: "nothing else knows S3" },
  { pattern: /^node:sqlite$/, room: "shared/storage/", why: "nothing else knows SQLite" },
];

/**
 * Who may use file APIs beside `shared/storage/`, and what for. None of these touches the store.
 * A path that ends in a slash stands for everything below it.
 */
const FILE_READERS: Readonly<Record<string, string>> = {
  "shared/wire/": "the wire's definition (proto/) and the certificates of gRPC",
  "shared/config/": "certificates that flags name",
  "main_worker/ui/": "the UI's own assets",
  "main_worker/front/rest/tls.ts": "the certificate of REST",
};
const FILE_WRITERS: Readonly<Record<string, string>> = {
  "shared/process/": "the development runner keeps its keys in data/dev.env",
  "main_worker/ui/build": "the UI is built into main_worker/ui/dist",
};

const READING = /^(?:readFile|readTextFile|stat|lstat|readDir|realPath|readLink|watchFs)(?:Sync)?$/;
const WRITING =
  /^(?:open|create|writeFile|writeTextFile|mkdir|makeTempDir|makeTempFile|remove|rename|copyFile|truncate|link|symlink|chmod|chown|utime|FsFile)(?:Sync)?$/;
const FILE_MODULES = /^(?:node:)?fs(?:\/promises)?$/;

/** What of `node:crypto` is not encryption: everything else belongs to `shared/crypto/`. */
const HARMLESS_CRYPTO = new Set([
  "createHash",
  "createHmac",
  "getRandomValues",
  "hash",
  "randomBytes",
  "randomFillSync",
  "randomInt",
  "randomUUID",
  "timingSafeEqual",
]);

function isTest(path: string): boolean {
  return /(?:_test|_bench)\.tsx?$/.test(path) || !PRODUCT.includes(path.split("/")[0]!);
}

function allowed(list: Readonly<Record<string, string>>, path: string): boolean {
  return Object.keys(list).some((entry) => path.startsWith(entry));
}

/** The file that a relative specifier names, from the root of the tree; `undefined` for a package or a built-in. */
function target(path: string, specifier: string): string | undefined {
  if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return undefined;
  const { pathname } = new URL(specifier, `file://${ROOT}${path}`);
  return pathname.startsWith(ROOT) ? pathname.slice(ROOT.length) : `outside:${pathname}`;
}

/** Why this file may not import this, or `undefined`. */
function importViolation(path: string, specifier: string): string | undefined {
  if (/^(?:npm|jsr|https?|data|blob):/.test(specifier)) {
    return `import dependencies by their name in deno.json, not as ${JSON.stringify(specifier)}`;
  }
  const room = path.split("/")[0]!;
  const to = target(path, specifier);
  if (to !== undefined) {
    const toRoom = to.split("/")[0]!;
    if (CLOSED_TO[room]?.includes(toRoom)) return `${room}/ does not import ${toRoom}/`;
    if (!isTest(path) && TEST_ROOMS.includes(toRoom)) return `${room}/ does not import ${toRoom}/`;
    if (PRODUCT.includes(room) && to.startsWith("outside:")) return "nothing is imported from outside the tree";
    if (PRODUCT.includes(room) && !isTest(path) && /_(?:test|bench)\.tsx?$/.test(to)) {
      return "the product does not import tests";
    }
    return undefined;
  }
  if (isTest(path)) return undefined;
  for (const { pattern, room, why } of OWNED_PACKAGES) {
    if (pattern.test(specifier) && !path.startsWith(room)) return `${specifier} belongs to ${room}: ${why}`;
  }
  if (
    FILE_MODULES.test(specifier) && !path.startsWith("shared/storage/") && !allowed(FILE_WRITERS, path)
  ) return `${specifier} belongs to shared/storage/: nothing else knows files`;
  return undefined;
}

function fileViolation(path: string, name: string): string | undefined {
  if (isTest(path) || path.startsWith("shared/storage/") || allowed(FILE_WRITERS, path)) return undefined;
  if (WRITING.test(name)) return `Deno.${name} belongs to shared/storage/: nothing else knows files`;
  if (READING.test(name) && !allowed(FILE_READERS, path)) {
    return `Deno.${name} belongs to shared/storage/: nothing else knows files (see FILE_READERS in dependency_rules.ts)`;
  }
  return undefined;
}

function isNamed(node: { type: string; name?: string }, name: string): boolean {
  return node.type === "Identifier" && node.name === name;
}

/** The name of a member that is written down: `a.name` or `a["name"]`. */
function memberName(node: Deno.lint.MemberExpression): string | undefined {
  const { property } = node;
  if (!node.computed && property.type === "Identifier") return property.name;
  return property.type === "Literal" && typeof property.value === "string" ? property.value : undefined;
}

const boundaries: Deno.lint.Rule = {
  create(context) {
    if (!context.filename.startsWith(ROOT)) return {};
    const path = context.filename.slice(ROOT.length);
    const report = (node: Deno.lint.Node, message: string | undefined) => {
      if (message !== undefined) context.report({ node, message });
    };
    const guardsCrypto = !isTest(path) && !path.startsWith("shared/crypto/");

    function checkSource(node: Deno.lint.Node, source: unknown): void {
      if (typeof source === "string") report(node, importViolation(path, source));
    }
    function checkCryptoImport(node: Deno.lint.ImportDeclaration): void {
      if (!guardsCrypto || !/^(?:node:)?crypto$/.test(String(node.source.value)) || node.importKind === "type") return;
      for (const specifier of node.specifiers) {
        const name = specifier.type === "ImportSpecifier" && specifier.imported.type === "Identifier"
          ? specifier.imported.name
          : undefined;
        if (name === undefined) report(specifier, "import from node:crypto by name, so that one sees what is used");
        else if (!HARMLESS_CRYPTO.has(name)) report(specifier, `${name} belongs to shared/crypto/`);
      }
    }

    return {
      ImportDeclaration(node) {
        checkSource(node, node.source.value);
        checkCryptoImport(node);
      },
      ExportNamedDeclaration(node) {
        if (node.source) checkSource(node, node.source.value);
      },
      ExportAllDeclaration(node) {
        checkSource(node, node.source.value);
      },
      ImportExpression(node) {
        if (node.source.type === "Literal") checkSource(node, node.source.value);
      },
      TSImportType(node) {
        const { argument } = node as unknown as {
          argument: { type: string; value?: unknown; literal?: { value: unknown } };
        };
        checkSource(node, argument.value ?? argument.literal?.value);
      },
      // new URL("./front_thread.ts", import.meta.url): the module of a worker thread, or an asset.
      NewExpression(node) {
        const [first] = node.arguments;
        if (isNamed(node.callee, "URL") && node.arguments.length === 2 && first?.type === "Literal") {
          if (typeof first.value === "string" && first.value.startsWith(".")) checkSource(node, first.value);
        }
      },
      MemberExpression(node) {
        const name = memberName(node);
        if (isNamed(node.object, "Deno") && name !== undefined) report(node, fileViolation(path, name));
        if (guardsCrypto && name === "subtle") {
          const { parent } = node;
          const digests = parent.type === "MemberExpression" && parent.object === node &&
            memberName(parent) === "digest";
          if (!digests) report(node, "Web Crypto, except digest, belongs to shared/crypto/");
        }
      },
      VariableDeclarator(node) {
        if (node.id.type !== "ObjectPattern" || node.init === null || node.init === undefined) return;
        const from = node.init;
        for (const property of node.id.properties) {
          if (property.type !== "Property" || property.key.type !== "Identifier") continue;
          if (isNamed(from, "Deno")) report(property, fileViolation(path, property.key.name));
          if (guardsCrypto && isNamed(from, "crypto") && property.key.name === "subtle") {
            report(property, "Web Crypto, except digest, belongs to shared/crypto/");
          }
        }
      },
    };
  },
};

/** The plugin; `deno.json` names this file under `lint.plugins`. */
const plugin: Deno.lint.Plugin = { name: "deltadatabase", rules: { boundaries } };
export default plugin;
