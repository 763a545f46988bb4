/** Calls to the REST interface: the credential in a header, errors as {@linkcode ApiError} or {@linkcode Unreachable}. */
import { bareEtag, errorOf, Unreachable } from "./errors.ts";

interface RequestOptions {
  readonly method?: string;
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** How long the answer may take, its body included; `null`: for ever. Default: 20 s. */
  readonly timeoutMs?: number | null;
}

/** Longer than any deadline of the server. */
const TIMEOUT_MS = 20_000;

/** A document as it is stored. */
export interface StoredDocument {
  readonly text: string;
  readonly etag: string;
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly updatedAtMs: number | null;
  readonly size: number;
}

interface ClientEvents {
  /** The server answered (also with an error). */
  reached(): void;
  /** The server did not answer. */
  lost(): void;
  /** The credential is not good any more. */
  refused(): void;
}

/**
 * What pages ask the server with.
 * Every call throws {@linkcode ApiError} for a refusal and {@linkcode Unreachable} without an answer.
 */
export interface Client {
  /** @throws {ApiError} {Unreachable} */
  request(path: string, options?: RequestOptions): Promise<Response>;
  /** The JSON of the answer. */
  json<T>(path: string, options?: RequestOptions): Promise<T>;
  /** Sends `body` as JSON and reads JSON. */
  send<T>(method: string, path: string, body: unknown): Promise<T>;
  getDocument(schema: string, key: string, signal?: AbortSignal): Promise<StoredDocument>;
  /** `ifMatch`: the ETag that was read; `null`: must not exist yet; `undefined`: whatever is there. */
  putDocument(
    schema: string,
    key: string,
    text: string,
    ifMatch: string | null | undefined,
  ): Promise<{ etag: string; version: number }>;
  deleteDocument(schema: string, key: string, ifMatch: string | undefined): Promise<void>;
}

/** Path of an entity. */
export function entityPath(schema: string, key: string): string {
  return `/entity/${encodeURIComponent(schema)}?key=${encodeURIComponent(key)}`;
}

/** A client that sends the credential that `token` returns, if any. */
export function createClient(token: () => string | null, events: ClientEvents): Client {
  async function request(path: string, options: RequestOptions = {}): Promise<Response> {
    const credential = token();
    const headers: Record<string, string> = { ...options.headers };
    if (credential !== null) headers.Authorization = `Bearer ${credential}`;
    const { timeoutMs = TIMEOUT_MS } = options;
    const signals = [options.signal, timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs)];
    const signal = AbortSignal.any(signals.filter((one) => one !== undefined));
    let response: Response;
    try {
      response = await fetch(path, {
        method: options.method ?? "GET",
        headers,
        body: options.body ?? null,
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      events.lost();
      throw new Unreachable("no answer");
    }
    events.reached();
    if (response.ok) return response;
    const failure = await errorOf(response);
    if (response.status === 401 && credential !== null && credential === token()) events.refused();
    throw failure;
  }

  async function json<T>(path: string, options?: RequestOptions): Promise<T> {
    const response = await request(path, options);
    try {
      return await response.json() as T;
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      events.lost();
      throw new Unreachable("the answer broke off");
    }
  }

  return {
    request,
    json,
    send: (method, path, body) =>
      json(path, { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),

    async getDocument(schema, key, signal) {
      const response = await request(entityPath(schema, key), signal ? { signal } : {});
      const bytes = new Uint8Array(await response.arrayBuffer());
      const modified = Date.parse(response.headers.get("Last-Modified") ?? "");
      return {
        text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
        etag: bareEtag(response.headers.get("ETag")) ?? "",
        version: Number(response.headers.get("X-Entity-Version") ?? 0),
        updatedAtMs: Number.isNaN(modified) ? null : modified,
        size: bytes.length,
      };
    },

    async putDocument(schema, key, text, ifMatch) {
      const headers: Record<string, string> = { "Content-Type": "application/json" };
      if (ifMatch === null) headers["If-None-Match"] = "*";
      if (typeof ifMatch === "string") headers["If-Match"] = `"${ifMatch}"`;
      const response = await request(entityPath(schema, key), { method: "PUT", body: text, headers });
      const { version } = await response.json() as { version: number };
      return { etag: bareEtag(response.headers.get("ETag")) ?? "", version };
    },

    async deleteDocument(schema, key, ifMatch) {
      const headers: Record<string, string> = ifMatch === undefined ? {} : { "If-Match": `"${ifMatch}"` };
      await request(entityPath(schema, key), { method: "DELETE", headers });
    },
  };
}
