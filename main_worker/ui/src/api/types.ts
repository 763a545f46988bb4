/** The JSON of the REST contract, as far as the UI reads it. */

export type { OperationName, OperationSeries, Stats, Warning, WorkerJson } from "../../../front/rest/stats.ts";

/** What a credential may do; `admin` includes the others. */
export type Permission = "read" | "write" | "admin";

/** `POST /api/login`. */
export interface Login {
  readonly token: string;
  readonly client_id: string;
  /** RFC 3339. */
  readonly expires_at: string;
  readonly permissions: readonly Permission[];
}

/** `GET /api/me`. */
export interface Me {
  readonly client_id: string;
  readonly permissions: readonly Permission[];
  readonly is_admin: boolean;
  /** Patterns of schema ids; absent or `null`: all. */
  readonly schemas?: readonly string[] | null;
}

/** `/ui/facts.json`. */
export interface Facts {
  readonly dev_mode: boolean;
  readonly version: string;
}

/** One row of `GET /entities/{schema}`. */
export interface EntityRow {
  readonly key: string;
  readonly version: number | null;
  readonly size: number | null;
  /** RFC 3339. */
  readonly updated_at: string | null;
}

/** `GET /entities/{schema}`. */
export interface EntityPage {
  readonly keys: readonly EntityRow[];
  readonly next_cursor: string | null;
}

/** One row of `GET /api/schemas?counts=true`. */
export interface SchemaCount {
  readonly id: string;
  readonly entities: number | null;
}

/** Where a document breaks its schema; `path` is a JSON Pointer (RFC 6901). */
export interface Violation {
  readonly key?: string;
  readonly path: string;
  readonly message: string;
}

/** `POST /admin/schemas/{id}/check`. */
export interface SchemaCheck {
  readonly checked: number;
  readonly failing: number;
  readonly examples: readonly { readonly key: string; readonly violations: readonly Violation[] }[];
}

/** `GET /api/keys`. */
export interface ApiKeyJson {
  readonly id: string;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly schemas?: readonly string[] | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly last_used_at?: string | null;
}

/** `POST /api/keys`. */
export interface NewApiKeyJson extends ApiKeyJson {
  readonly secret: string;
}

/** The data of a watch event. */
export interface WatchData {
  readonly key: string;
  readonly version: number;
  readonly etag: string;
}
