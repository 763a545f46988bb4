/**
 * The files of the management UI, answered from what `build.ts` has put into `dist/`: compressed, with validators and
 * cache lives. Nothing is unpacked before the first request.
 */
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { inPieces } from "../../shared/bytes.ts";
import manifest from "./dist/manifest.json" with { type: "json" };

/** An answer; the body of a file is a stream. */
export interface UiAsset {
  readonly status: 200 | 304;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
}

/** What the program says about itself to a browser that has not signed in yet. */
export interface UiFacts {
  /** Whether anybody may sign in without a key. */
  readonly devMode: boolean;
  readonly version: string;
}

/** The files of the UI, by path. */
export interface UiAssets {
  /**
   * The file at `path` (without the query), or `undefined` when the UI has no such page, so that the caller's own
   * "not found" answers. Every deep link of the UI gets the one page.
   * @param acceptEncoding the header of that name, empty when absent
   * @param ifNoneMatch the header of that name; a match answers 304
   */
  get(path: string, acceptEncoding: string, ifNoneMatch?: string): UiAsset | undefined;
}

interface File {
  readonly type: string;
  /** First 16 hex digits of the SHA-256 of the file. */
  readonly hash: string;
}
type Encoding = "br" | "gzip" | "identity";

const FILES: Readonly<Record<string, File>> = manifest.files;
const PAGES = /^\/(?:(?:overview|documents|schemas|keys|operations|signin)\/?)?$/;
const FACTS = "/ui/facts.json";

/**
 * No script, style, font, picture or connection from anywhere but this server, nothing inline, and no page around it.
 */
export const UI_CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const SAFETY = {
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
} as const;

/**
 * The UI's files. `facts` is asked at each request for {@linkcode UiFacts}; without it the UI finds out by asking the
 * REST interface.
 */
export function createUiAssets(facts?: () => UiFacts): UiAssets {
  let pack: Promise<Readonly<Record<string, string>>> | undefined;
  /** Files as they go out, by encoding and name, from when they are first asked for. */
  const made = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

  async function unpack(name: string, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
    pack ??= import("./dist/pack.json", { with: { type: "json" } }).then((module) => module.default);
    const brotli = Uint8Array.fromBase64((await pack)[name]!);
    if (encoding === "br") return brotli;
    const plain = brotliDecompressSync(brotli);
    return new Uint8Array(encoding === "gzip" ? gzipSync(plain, { level: 9 }) : plain);
  }

  function fileOf(name: string, encoding: Encoding): Promise<Uint8Array<ArrayBuffer>> {
    const id = `${encoding} ${name}`;
    const file = made.get(id) ?? unpack(name, encoding);
    made.set(id, file);
    return file;
  }

  return {
    get(path, acceptEncoding, ifNoneMatch = "") {
      if (path === FACTS && facts) {
        const { devMode, version } = facts();
        return {
          status: 200,
          headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...SAFETY },
          body: new TextEncoder().encode(JSON.stringify({ dev_mode: devMode, version })),
        };
      }
      const name = PAGES.test(path) ? "/index.html" : path;
      const file = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
      if (!file) return undefined;
      const encoding = chooseEncoding(acceptEncoding);
      const etag = `"${file.hash}-${encoding}"`;
      const page = name === "/index.html";
      const headers: Record<string, string> = {
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": page ? "no-cache" : "public, max-age=31536000, immutable",
        ...SAFETY,
      };
      if (page) headers["Content-Security-Policy"] = UI_CONTENT_SECURITY_POLICY;
      if (ifNoneMatch.includes(etag)) return { status: 304, headers, body: null };
      headers["Content-Type"] = file.type;
      if (encoding !== "identity") headers["Content-Encoding"] = encoding;
      return { status: 200, headers, body: inPieces(() => fileOf(name, encoding)) };
    },
  };
}

/** The best of our encodings that an `Accept-Encoding` header allows (RFC 9110, section 12.5.3). */
function chooseEncoding(header: string): Encoding {
  const refused = new Set<string>();
  const accepted = new Set<string>();
  for (const part of header.toLowerCase().split(",")) {
    const [name = "", ...parameters] = part.split(";").map((piece) => piece.trim());
    const zero = parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
    (zero ? refused : accepted).add(name);
  }
  for (const encoding of ["br", "gzip"] as const) {
    if (!refused.has(encoding) && (accepted.has(encoding) || accepted.has("*"))) return encoding;
  }
  return "identity";
}
