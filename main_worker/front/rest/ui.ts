/** `GET /`: the management UI, whose files come from elsewhere; and every path that no route has. */
import type { HeaderList } from "./errors.ts";
import type { Answering } from "./reply.ts";
import type { RestRequest } from "./route.ts";

/** A file of the UI, ready to be answered. */
export interface UiAsset {
  readonly status: 200 | 304;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
}

/** The files of the UI. */
export interface UiAssets {
  /** The file at `path` (without the query), or `undefined` when there is no such page. */
  get(path: string, acceptEncoding: string, ifNoneMatch?: string): UiAsset | undefined;
}

/** What a page of ours may load: files of this server, nothing inline, no frame around it. */
export const PAGE_CONTENT_SECURITY_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** Safety headers of pages; a file's own headers win over them. */
const PAGE_HEADERS: HeaderList = [
  ["content-security-policy", PAGE_CONTENT_SECURITY_POLICY],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["x-frame-options", "DENY"],
  ["cross-origin-opener-policy", "same-origin"],
  ["cross-origin-resource-policy", "same-origin"],
];

/** Header fields of a page or a file that belongs to one. */
export function pageHeaders(call: Answering, more: Readonly<Record<string, string>>): Headers {
  const headers = new Headers([...PAGE_HEADERS.map(([name, value]): [string, string] => [name, value])]);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  headers.set("x-request-id", call.requestId);
  return headers;
}

/** The answer with a file of the UI, or `undefined` when there is none at `path`. */
export function uiResponse(
  assets: UiAssets,
  call: Answering,
  request: RestRequest,
  path: string,
): Response | undefined {
  const asset = assets.get(
    path,
    request.headers.get("accept-encoding") ?? "",
    request.headers.get("if-none-match") ?? undefined,
  );
  if (asset === undefined) return undefined;
  return new Response(asset.body, { status: asset.status, headers: pageHeaders(call, asset.headers) });
}
