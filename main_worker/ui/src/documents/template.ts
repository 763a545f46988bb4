/** The JSON Schema of a namespace, for completion and first drafts; `undefined` where there is none. */
import type { Client } from "../api/client.ts";
import { ApiError } from "../api/errors.ts";
import type { Json } from "../editor/json_schema.ts";

/** Loads the template of a schema that `hasTemplate`. */
export async function loadTemplate(client: Client, schema: string): Promise<Json | undefined> {
  try {
    return await client.json<Json>(`/schema/${encodeURIComponent(schema)}`);
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}
