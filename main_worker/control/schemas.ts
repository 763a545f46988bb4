/** Templates: the JSON Schemas by which writes are judged, kept on the store's shelf, where files may also be dropped in. */
import { templateHash } from "../../shared/schema/compiled_schemas.ts";
import { scanDocument } from "../../shared/json/scanner.ts";
import {
  SCHEMA_BYTES_MAX,
  SCHEMA_TURNS,
  SCHEMAS_MAX,
  TEMPLATE_POLL_MS,
  TEMPLATES_BYTES_MAX,
} from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging/logger.ts";
import { NameError, parseSchemaId, type SchemaId } from "../../shared/names.ts";
import { type Failure, failure } from "../../shared/outcome.ts";
import { compileSchema } from "../../shared/schema/validator.ts";
import type { Clock, Timer } from "../../shared/seams/clock.ts";
import type { Shelf } from "../../shared/storage/store.ts";
import { changeFailure, Changes } from "./changes.ts";
import type { Changed, Schemas, Template } from "./control.ts";

/** What {@linkcode SchemaStore.open} needs. */
export interface SchemaStoreOptions {
  /** The store's `templates` shelf. */
  readonly shelf: Shelf;
  readonly clock: Clock;
  readonly log: Logger;
  /** Hands new schemas to every front; resolves when all have confirmed them. */
  readonly publish: (schemas: Schemas) => Promise<void>;
}

/** A template and the shelf's mark of the object that it was read from; `undefined`: not read back since it was put. */
interface Kept {
  readonly template: Template;
  readonly revision: string | undefined;
}

/** The templates in force. Looks for files that were dropped in or removed until it is closed. */
export class SchemaStore {
  readonly #options: SchemaStoreOptions;
  #kept: ReadonlyMap<SchemaId, Kept> = new Map();
  #current: Schemas = { revision: 1, templates: new Map() };
  readonly #changes: Changes;
  #timer: Timer | undefined;
  #closed = false;
  /** Whether the shelf could not be read at the last look: said once, not at each. */
  #unreadable = false;
  /** Names on the shelf that are no schema ids, which have been said already. */
  #strangers: ReadonlySet<string> = new Set();

  private constructor(options: SchemaStoreOptions) {
    this.#options = options;
    this.#changes = new Changes(options.clock, SCHEMA_TURNS);
  }

  /** Reads all templates. @throws {StorageError} */
  static async open(options: SchemaStoreOptions): Promise<SchemaStore> {
    const store = new SchemaStore(options);
    let count = 0;
    await store.#look(() => count += 1);
    if (count > 0) options.log.info("templates_loaded", { count });
    store.#schedule();
    return store;
  }

  /** An immutable value, replaced as a whole by each change. */
  get current(): Schemas {
    return this.#current;
  }

  /** Stores a template, if it is a valid schema; when it has answered, every front judges by it. */
  put(id: SchemaId, text: Uint8Array): Promise<Changed<{ created: boolean }>> {
    return this.#changes.ofClient(async () => {
      const refused = await this.#refusal(id, text);
      if (refused !== undefined) return refused;
      try {
        await this.#options.shelf.put(id, text);
      } catch (error) {
        return changeFailure(error, "the schema");
      }
      const created = !this.#kept.has(id);
      const kept = new Map(this.#kept).set(id, { template: { hash: templateHash(text), text }, revision: undefined });
      await this.#replace(kept);
      return { kind: "done", value: { created } };
    }, text.length);
  }

  /** Removes a template; when it has answered, writes of the id are not judged any more. */
  delete(id: SchemaId): Promise<Changed<{ existed: boolean }>> {
    return this.#changes.ofClient(async () => {
      let existed: boolean;
      try {
        existed = await this.#options.shelf.delete(id);
      } catch (error) {
        return changeFailure(error, "the schema");
      }
      if (this.#kept.has(id)) {
        const kept = new Map(this.#kept);
        kept.delete(id);
        await this.#replace(kept);
        existed = true;
      }
      return { kind: "done", value: { existed } };
    });
  }

  /** Looks at the shelf now, instead of when it is time. Answers whether anything had changed. */
  poll(): Promise<boolean> {
    const loaded = (id: SchemaId) => this.#options.log.info("template_loaded", { schema_id: id });
    return this.#changes.own(() => this.#look(loaded));
  }

  /** Looks no more. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#options.clock.clearTimer(this.#timer);
  }

  /** Why a template is not taken. */
  async #refusal(id: SchemaId, text: Uint8Array): Promise<Failure | undefined> {
    if (text.length > SCHEMA_BYTES_MAX) {
      return failure("too_large", `The schema is larger than ${SCHEMA_BYTES_MAX} bytes`);
    }
    const others = [...this.#kept].filter(([other]) => other !== id);
    if (others.length >= SCHEMAS_MAX) {
      return failure("bad_request", `There are ${SCHEMAS_MAX} schemas, which is the most; remove some first`);
    }
    if (others.reduce((sum, [, { template }]) => sum + template.text.length, text.length) > TEMPLATES_BYTES_MAX) {
      return failure("too_large", `All schemas together would be larger than ${TEMPLATES_BYTES_MAX} bytes`);
    }
    const invalid = await problemOf(text);
    return invalid === undefined ? undefined : failure("invalid_schema", invalid);
  }

  /** Reads what is new on the shelf and forgets what is gone. Answers whether that changes anything. */
  async #look(loaded: (id: SchemaId) => void): Promise<boolean> {
    const { shelf, log } = this.#options;
    const before = this.#kept;
    const kept = new Map<SchemaId, Kept>();
    let bytes = 0;
    const keep = (id: SchemaId, template: Template, revision: string) => {
      kept.set(id, { template, revision });
      bytes += template.text.length;
    };
    let changed = false;
    const listed = this.#withIds(await shelf.list());
    for (let start = 0; start < listed.length; start += TEMPLATES_READ_AT_ONCE) {
      const some = listed.slice(start, start + TEMPLATES_READ_AT_ONCE);
      const texts = await Promise.all(some.map(({ id, name, revision }) => {
        return before.get(id)?.revision === revision ? undefined : shelf.get(name);
      }));
      for (const [index, { id, revision }] of some.entries()) {
        const known = before.get(id);
        const text = texts[index];
        const isSame = known?.revision === revision || (text && known?.template.hash === templateHash(text));
        if (known !== undefined && isSame) {
          keep(id, known.template, revision);
          continue;
        }
        // Removed since it was listed: the next look will not list it.
        if (text === undefined) continue;
        const tooMany = kept.size >= SCHEMAS_MAX || bytes + text.length > TEMPLATES_BYTES_MAX;
        const template = readTemplate(text, tooMany);
        keep(id, template, revision);
        changed = true;
        if (template.invalid !== undefined) log.warn("template_invalid", { schema_id: id, reason: template.invalid });
        else loaded(id);
      }
    }
    for (const id of before.keys()) {
      if (kept.has(id)) continue;
      changed = true;
      log.info("template_gone", { schema_id: id });
    }
    if (changed) await this.#replace(kept);
    else this.#kept = kept;
    return changed;
  }

  /** What may be a template. Says the names that are no schema ids, once. */
  #withIds<T extends { readonly name: string }>(listed: readonly T[]): (T & { readonly id: SchemaId })[] {
    const strangers = new Set<string>();
    const templates = listed.flatMap((entry) => {
      const id = schemaIdOf(entry.name);
      if (id !== undefined) return [{ ...entry, id }];
      strangers.add(entry.name);
      return [];
    });
    for (const file of strangers.difference(this.#strangers)) {
      this.#options.log.warn("template_ignored", { file, reason: "its name is no schema id" });
    }
    this.#strangers = strangers;
    return templates;
  }

  async #replace(kept: ReadonlyMap<SchemaId, Kept>): Promise<void> {
    this.#kept = kept;
    const templates = new Map([...kept].map(([id, { template }]): [SchemaId, Template] => [id, template]));
    this.#current = { revision: this.#current.revision + 1, templates };
    await this.#options.publish(this.#current);
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(() => {
      this.poll().then(
        () => this.#unreadable = false,
        (error) => {
          if (!this.#unreadable) this.#options.log.warn("templates_unreadable", { error });
          this.#unreadable = true;
        },
      ).finally(() => this.#schedule());
    }, TEMPLATE_POLL_MS);
  }
}

/** Templates that are read from the shelf together: from a bucket each takes a round trip. */
const TEMPLATES_READ_AT_ONCE = 16;

/**
 * A template from the shelf. What cannot judge is kept with the reason, so that writes are refused and not let through;
 * its text only if it is JSON of a size that could be uploaded.
 */
function readTemplate(text: Uint8Array, tooMany: boolean): Template {
  const hash = templateHash(text);
  const dropped = (invalid: string): Template => ({ hash, text: new Uint8Array(0), invalid });
  if (text.length > SCHEMA_BYTES_MAX) return dropped(`it is larger than ${SCHEMA_BYTES_MAX} bytes`);
  if (tooMany) return dropped("there are too many schemas, or too large ones");
  const scanned = scanDocument(text);
  if (!scanned.ok) return dropped(scanned.reason);
  const invalid = problemOf(text);
  return invalid === undefined ? { hash, text } : { hash, text, invalid };
}

/** Why JSON is not a schema that can judge; `undefined`: it is one. */
function problemOf(text: Uint8Array): string | undefined {
  const compiled = compileSchema(text);
  return compiled.kind === "invalid" ? describeProblem(compiled) : undefined;
}

/** Why a text is no schema, and where in it, as a sentence for a person. */
export function describeProblem({ message, path }: { readonly message: string; readonly path?: string }): string {
  return path === undefined || path === "" ? message : `${message} (at ${path})`;
}

function schemaIdOf(name: string): SchemaId | undefined {
  try {
    return parseSchemaId(name);
  } catch (error) {
    if (error instanceof NameError) return undefined;
    throw error;
  }
}
