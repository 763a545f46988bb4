/**
 * An S3 service in this process, for tests: objects with ETags, conditional requests, listing in pages, and a plan of
 * faults. It can be told to behave like services that differ from AWS.
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with a request. */
export type FaultEffect =
  /** An error answer; the request is not carried out. */
  | { readonly kind: "status"; readonly status: number; readonly code: string }
  /** The connection breaks before the request is carried out. */
  | { readonly kind: "reset" }
  /** The request is carried out, and the connection breaks before the answer. */
  | { readonly kind: "lost" }
  /** The request is carried out, and the answer breaks off in the middle of the body, at once or after `until`. */
  | { readonly kind: "half"; readonly until?: Promise<unknown> }
  /** The request is carried out and answered after `until`. */
  | { readonly kind: "slow"; readonly until: Promise<unknown> }
  /** No answer now; the request is carried out after `until`, whether anybody still waits or not. */
  | { readonly kind: "late"; readonly until: Promise<unknown> };

/** Which requests a fault hits. */
export interface Fault {
  readonly method?: "GET" | "PUT" | "DELETE" | "HEAD" | "LIST";
  /** A part of the key, or of the prefix that is listed. */
  readonly key?: string;
  /** Skips so many matching requests first. Default: 0. */
  readonly skip?: number;
  /** Hits so many. Default: 1. */
  readonly times?: number;
  readonly effect: FaultEffect;
}

/** How the service treats conditions; the default is AWS's way. */
export interface EmulatorOptions {
  readonly create?: "honoured" | "ignored" | "racy";
  readonly replace?: "honoured" | "ignored" | "racy";
  /** Which spelling of an ETag an `If-Match` is compared with. */
  readonly spelling?: "quoted" | "plain" | "both";
  /** `If-Match` for an object that is not there creates it. */
  readonly replaceCreates?: boolean;
  readonly remove?: "honoured" | "ignored" | "unsupported";
  /** Buckets that are there from the beginning. Default: `deltadatabase`. */
  readonly buckets?: readonly string[];
  /** Concurrent PUTs beyond this are answered with 503 SlowDown. */
  readonly parallelMax?: number;
  /** Characters between two slashes of a name. Default: as many as one likes. */
  readonly segmentMax?: number;
}

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly modifiedMs: number;
}

/** A request as it was received, for assertions. */
export interface SeenRequest {
  readonly method: string;
  readonly key: string;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  /** When it was signed. */
  readonly date?: string;
}

type Reply = { status: number; headers?: Record<string, string>; body?: Uint8Array | string };

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function errorReply(status: number, code: string): Reply {
  return {
    status,
    headers: { "content-type": "application/xml" },
    body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  };
}

/** The service; `await using` closes it. */
export class S3Emulator {
  readonly #server: Server;
  readonly #options: EmulatorOptions;
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #faults: { readonly fault: Fault; skip: number; times: number }[] = [];
  readonly #late = new Set<Promise<unknown>>();
  /** Everything that was received. */
  readonly seen: SeenRequest[] = [];
  #port = 0;
  #clockMs = Date.parse("2026-01-01T00:00:00Z");
  #putting = 0;
  /** Connections that were made. */
  connections = 0;

  private constructor(options: EmulatorOptions) {
    this.#options = options;
    for (const bucket of options.buckets ?? ["deltadatabase"]) this.#buckets.set(bucket, new Map());
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error) => {
        response.writeHead(500).end(String(error));
      });
    });
    this.#server.on("connection", () => this.connections++);
  }

  /** Listens on a free port of the loopback interface, or on a given one. */
  static async start(options: EmulatorOptions = {}, port = 0): Promise<S3Emulator> {
    const emulator = new S3Emulator(options);
    await emulator.listen(port);
    return emulator;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  get port(): number {
    return this.#port;
  }

  /** `host:port`. */
  get endpoint(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The objects of a bucket. */
  objects(bucket = "deltadatabase"): Map<string, StoredObject> {
    const objects = this.#buckets.get(bucket);
    if (objects === undefined) throw new Error(`no bucket ${bucket}`);
    return objects;
  }

  bytes(key: string): Uint8Array | undefined {
    return this.objects().get(key)?.bytes;
  }

  /** Puts an object there as somebody else would. */
  set(key: string, bytes: Uint8Array): void {
    this.#store(this.objects(), key, bytes);
  }

  fault(fault: Fault): void {
    this.#faults.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 });
  }

  /** Ends the faults that have not hit yet. */
  clearFaults(): void {
    this.#faults.length = 0;
  }

  count(method: string, key = ""): number {
    return this.seen.filter((request) => request.method === method && request.key.includes(key)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#late);
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #store(objects: Map<string, StoredObject>, key: string, bytes: Uint8Array): StoredObject {
    this.#clockMs += 10;
    const etag = createHash("md5").update(bytes).digest("hex");
    const object = { bytes, etag, modifiedMs: this.#clockMs };
    objects.set(key, object);
    return object;
  }

  #take(method: string, key: string): FaultEffect | undefined {
    for (const [at, planned] of this.#faults.entries()) {
      const { fault } = planned;
      if (fault.method !== undefined && fault.method !== method) continue;
      if (fault.key !== undefined && !key.includes(fault.key)) continue;
      if (planned.skip > 0) {
        planned.skip--;
        continue;
      }
      if (--planned.times === 0) this.#faults.splice(at, 1);
      return fault.effect;
    }
    return undefined;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = new Uint8Array(Buffer.concat(chunks));
    const url = new URL(request.url ?? "/", "http://emulator");
    const [bucket = "", ...rest] = url.pathname.slice(1).split("/");
    const key = decodeURIComponent(rest.join("/"));
    const listing = request.method === "GET" && url.searchParams.get("list-type") === "2";
    const method = listing ? "LIST" : request.method ?? "GET";
    const about = listing ? url.searchParams.get("prefix") ?? "" : key;
    const header = (name: string) => {
      const value = request.headers[name];
      return typeof value === "string" ? value : undefined;
    };
    const ifMatch = header("if-match");
    const ifNoneMatch = header("if-none-match");
    const date = header("x-amz-date");
    this.seen.push({
      method,
      key: about,
      ...(ifMatch !== undefined && { ifMatch }),
      ...(ifNoneMatch !== undefined && { ifNoneMatch }),
      ...(date !== undefined && { date }),
    });
    const run = () => this.#carryOut(method, bucket, key, url, body, ifMatch, ifNoneMatch);
    const effect = this.#take(method, about);
    switch (effect?.kind) {
      case "status":
        return this.#send(response, method, errorReply(effect.status, effect.code));
      case "reset":
        request.socket.destroy();
        return;
      case "lost":
        await run();
        request.socket.destroy();
        return;
      case "late": {
        const late = effect.until.then(run);
        this.#late.add(late);
        await late;
        this.#late.delete(late);
        request.socket.destroy();
        return;
      }
      case "half": {
        const reply = await run();
        const bytes = typeof reply.body === "string"
          ? new TextEncoder().encode(reply.body)
          : reply.body ?? new Uint8Array();
        response.writeHead(reply.status, { ...reply.headers, "content-length": String(bytes.length) });
        response.write(bytes.slice(0, bytes.length >> 1), () => {
          if (effect.until === undefined) request.socket.destroy();
        });
        await effect.until;
        if (effect.until !== undefined) request.socket.destroy();
        return;
      }
      case "slow":
        await effect.until;
    }
    this.#send(response, method, await run());
  }

  #send(response: ServerResponse, method: string, reply: Reply): void {
    const bytes = typeof reply.body === "string"
      ? new TextEncoder().encode(reply.body)
      : reply.body ?? new Uint8Array();
    response.writeHead(reply.status, {
      ...reply.headers,
      ...(reply.status === 204 ? {} : { "content-length": reply.headers?.["content-length"] ?? String(bytes.length) }),
    });
    if (method === "HEAD" || reply.status === 204) response.end();
    else response.end(bytes);
  }

  #matches(ifMatch: string, etag: string): boolean {
    const spelling = this.#options.spelling ?? "both";
    if (ifMatch === "*") return true;
    return (spelling !== "plain" && ifMatch === `"${etag}"`) || (spelling !== "quoted" && ifMatch === etag);
  }

  async #carryOut(
    method: string,
    bucket: string,
    key: string,
    url: URL,
    body: Uint8Array,
    ifMatch: string | undefined,
    ifNoneMatch: string | undefined,
  ): Promise<Reply> {
    const objects = this.#buckets.get(bucket);
    if (method === "PUT" && key === "") {
      if (objects !== undefined) return errorReply(409, "BucketAlreadyOwnedByYou");
      this.#buckets.set(bucket, new Map());
      return { status: 200 };
    }
    if (objects === undefined) return errorReply(404, "NoSuchBucket");
    const { segmentMax = Infinity } = this.#options;
    if (key.split("/").some((segment) => segment.length > segmentMax)) return errorReply(400, "KeyTooLongError");
    switch (method) {
      case "LIST":
        return this.#list(objects, url);
      case "GET":
      case "HEAD": {
        const object = objects.get(key);
        if (object === undefined) return errorReply(404, "NoSuchKey");
        return {
          status: 200,
          headers: {
            "etag": `"${object.etag}"`,
            "content-length": String(object.bytes.length),
            "last-modified": new Date(object.modifiedMs).toUTCString(),
          },
          body: object.bytes,
        };
      }
      case "PUT":
        return await this.#put(objects, key, body, ifMatch, ifNoneMatch);
      case "DELETE":
        return this.#delete(objects, key, ifMatch);
      default:
        return errorReply(405, "MethodNotAllowed");
    }
  }

  async #put(
    objects: Map<string, StoredObject>,
    key: string,
    body: Uint8Array,
    ifMatch: string | undefined,
    ifNoneMatch: string | undefined,
  ): Promise<Reply> {
    const { create = "honoured", replace = "honoured", replaceCreates = false, parallelMax = Infinity } = this.#options;
    this.#putting++;
    try {
      if (this.#putting > parallelMax) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return errorReply(503, "SlowDown");
      }
      if (parallelMax !== Infinity) await new Promise((resolve) => setTimeout(resolve, 2));
      const there = objects.get(key);
      if (ifNoneMatch === "*" && create !== "ignored" && there !== undefined) {
        return errorReply(412, "PreconditionFailed");
      }
      if (ifMatch !== undefined && replace !== "ignored") {
        if (there === undefined && !replaceCreates) return errorReply(404, "NoSuchKey");
        if (there !== undefined && !this.#matches(ifMatch, there.etag)) return errorReply(412, "PreconditionFailed");
      }
      const racy = (ifNoneMatch !== undefined && create === "racy") || (ifMatch !== undefined && replace === "racy");
      if (racy) await new Promise((resolve) => setTimeout(resolve, 5));
      const stored = this.#store(objects, key, body);
      return { status: 200, headers: { etag: `"${stored.etag}"` } };
    } finally {
      this.#putting--;
    }
  }

  #delete(objects: Map<string, StoredObject>, key: string, ifMatch: string | undefined): Reply {
    const { remove = "honoured" } = this.#options;
    if (ifMatch !== undefined && remove === "unsupported") return errorReply(501, "NotImplemented");
    if (ifMatch !== undefined && remove === "honoured") {
      const there = objects.get(key);
      if (there === undefined) return errorReply(404, "NoSuchKey");
      if (!this.#matches(ifMatch, there.etag)) return errorReply(412, "PreconditionFailed");
    }
    objects.delete(key);
    return { status: 204 };
  }

  #list(objects: Map<string, StoredObject>, url: URL): Reply {
    const query = url.searchParams;
    const prefix = query.get("prefix") ?? "";
    const token = query.get("continuation-token");
    const after = token !== null ? atob(token) : query.get("start-after") ?? "";
    const limit = Math.min(1_000, Number(query.get("max-keys") ?? 1_000));
    const delimiter = query.get("delimiter") ?? "";
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    // With a delimiter all keys that begin alike up to it are one item.
    const items = new Map(keys.map((key): [string, boolean] => {
      const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
      return end < 0 ? [key, false] : [key.slice(0, end + delimiter.length), true];
    }));
    const left = [...items].filter(([item]) => item > after);
    const page = left.slice(0, limit);
    const more = left.length > page.length;
    const contents = page.map(([key, isPrefix]) => {
      if (isPrefix) return `<CommonPrefixes><Prefix>${escape(key)}</Prefix></CommonPrefixes>`;
      const { etag, bytes, modifiedMs } = objects.get(key)!;
      return `<Contents><Key>${escape(key)}</Key><LastModified>${new Date(modifiedMs).toISOString()}</LastModified>` +
        `<ETag>&quot;${etag}&quot;</ETag><Size>${bytes.length}</Size></Contents>`;
    }).join("");
    const next = more ? `<NextContinuationToken>${btoa(page.at(-1)![0])}</NextContinuationToken>` : "";
    return {
      status: 200,
      headers: { "content-type": "application/xml" },
      body: `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>${more}</IsTruncated>` +
        `<KeyCount>${page.length}</KeyCount>${next}${contents}</ListBucketResult>`,
    };
  }
}
