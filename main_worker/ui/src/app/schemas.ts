/** The schemas that there are: those with a template, those that hold documents, and how many. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import type { SchemaCount } from "../api/types.ts";

/** A schema as lists show it. */
export interface SchemaSummary {
  readonly id: string;
  /** `null`: the store cannot count. */
  readonly entities: number | null;
  /** Whether a JSON Schema judges its documents. */
  readonly hasTemplate: boolean;
}

/** The list of schemas that all pages share. */
export class SchemaDirectory {
  readonly #client: Client;
  readonly #list = signal<readonly SchemaSummary[] | null>(null);
  readonly #error = signal<unknown>(null);
  /** `null` until loaded for the first time. */
  readonly list: ReadonlySignal<readonly SchemaSummary[] | null> = this.#list;
  readonly error: ReadonlySignal<unknown> = this.#error;

  constructor(client: Client) {
    this.#client = client;
  }

  async load(): Promise<void> {
    try {
      const [templates, counts] = await Promise.all([
        this.#client.json<readonly string[]>("/admin/schemas"),
        this.#client.json<readonly SchemaCount[]>("/api/schemas?counts=true"),
      ]);
      const byId = new Map<string, SchemaSummary>();
      for (const id of templates) byId.set(id, { id, entities: 0, hasTemplate: true });
      for (const { id, entities } of counts) byId.set(id, { id, entities, hasTemplate: byId.has(id) });
      this.#list.value = [...byId.values()].sort((a, b) => a.id < b.id ? -1 : 1);
      this.#error.value = null;
    } catch (error) {
      this.#error.value = error;
    }
  }

  /** Works in what is known without asking: a document came or went. */
  adjust(id: string, by: number): void {
    const list = this.#list.value;
    if (!list) return;
    const known = list.some((schema) => schema.id === id);
    const next = known
      ? list.map((schema) =>
        schema.id === id && schema.entities !== null
          ? { ...schema, entities: Math.max(0, schema.entities + by) }
          : schema
      )
      : [...list, { id, entities: Math.max(0, by), hasTemplate: false }].sort((a, b) => a.id < b.id ? -1 : 1);
    this.#list.value = next;
  }
}
