/** The {@linkcode EntityService} of the front doors: operations through the dispatcher, hot documents from the read cache. */
import { MULTI_GET_BYTES_MAX, VIOLATIONS_CHARS_MAX, VIOLATIONS_MAX } from "../../../shared/limits.ts";
import { ifNoneMatchHolds } from "../../../shared/conditions.ts";
import {
  encodeName,
  type EntityKey,
  type EntityName,
  entityName,
  parseSchemaId,
  type SchemaId,
  schemaPrefix,
  splitEntityName,
} from "../../../shared/names.ts";
import { type Failure, failure, type Outcome, ViolationRoom } from "../../../shared/outcome.ts";
import type { Control, Template } from "../../control/control.ts";
import type { CoherenceTable } from "../cache/coherence.ts";
import type { ReadCache } from "../cache/read_cache.ts";
import type {
  Conditions,
  EntityService,
  ListEntry,
  ListOptions,
  ListOutcome,
  PutManyOutcome,
  Watch,
  WatchOptions,
  WriteOptions,
} from "../entities.ts";
import { type Answer, type Dispatcher, OVERLOADED } from "./dispatcher.ts";
import type { Lister } from "./lister.ts";
import type { Operations } from "./operations.ts";
import type { WatchHub } from "./watch_hub.ts";

export interface EntityServiceParts {
  readonly control: Pick<Control, "snapshot">;
  readonly dispatcher: Dispatcher;
  readonly operations: Operations;
  readonly lister: Lister;
  readonly cache: ReadCache;
  readonly coherence: CoherenceTable;
  readonly watches: WatchHub;
}

/** Bytes of a storage name for each unit of a schema id or key: each of up to three bytes of UTF-8 may become `%XX`. */
const NAME_GROWTH_MAX = 9;

/**
 * How much of the dispatcher's room a step may take that another one follows. Without the rest, the first steps of new requests
 * would keep the last ones of those before from getting in, and in the end none would be done.
 */
const FIRST_STEP_SHARE = 0.75;

/** Names that start with a schema's prefix and a key's beginning. */
function listPrefix(schemaId: SchemaId, keyPrefix: string): string {
  return schemaPrefix(schemaId) + (keyPrefix === "" ? "" : encodeName(keyPrefix));
}

/** @returns The service; see {@linkcode EntityService}. */
export function createEntityService(parts: EntityServiceParts): EntityService {
  const { control, dispatcher, operations, lister, cache, coherence, watches } = parts;

  function template(schemaId: SchemaId): Template | undefined {
    return control.snapshot().schemas.templates.get(schemaId);
  }

  function unusable(template: Template | undefined): Failure | undefined {
    return template?.invalid === undefined
      ? undefined
      : failure("invalid_schema", `the schema's template is not usable: ${template.invalid}`);
  }

  function keep(name: EntityName, document: Uint8Array, { outcome, stamp }: Answer): Outcome {
    if (stamp === undefined) return outcome;
    if (outcome.kind === "found") cache.fill(name, document, outcome.meta, coherence.slotOf(name), stamp);
    if (outcome.kind === "stored") cache.fillWritten(name, document, outcome.meta, coherence.slotOf(name), stamp);
    return outcome;
  }

  async function read(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Promise<Outcome> {
    const op = operations.make("get", schemaId, key, { ifNoneMatch: conditions.ifNoneMatch });
    const answer = await dispatcher.submit(op, undefined);
    return answer.outcome.kind === "found" ? keep(op.name, answer.outcome.document, answer) : answer.outcome;
  }

  /** What the cache answers, if it has the entity. */
  function cached(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Outcome | undefined {
    const hit = cache.get(entityName(schemaId, key));
    if (hit === undefined) return undefined;
    if (!ifNoneMatchHolds(conditions.ifNoneMatch, hit.meta.etag)) return { kind: "not_modified", meta: hit.meta };
    return hit;
  }

  function get(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Outcome | Promise<Outcome> {
    return cached(schemaId, key, conditions) ?? read(schemaId, key, conditions);
  }

  async function write(
    schemaId: SchemaId,
    key: EntityKey,
    document: Uint8Array,
    options: WriteOptions,
    judge: Template | undefined,
    validated: boolean,
  ): Promise<Outcome> {
    const op = operations.make("put", schemaId, key, {
      payload: document,
      schemaHash: judge?.hash,
      ifMatch: options.ifMatch,
      ifNoneMatch: options.ifNoneMatch,
      ...(options.force ? { force: true } : {}),
      ...(validated ? { validated: true } : {}),
    });
    return keep(op.name, document, await dispatcher.submit(op, judge));
  }

  function put(schemaId: SchemaId, key: EntityKey, document: Uint8Array, options: WriteOptions): Promise<Outcome> {
    const judge = template(schemaId);
    const refused = unusable(judge);
    return refused ? Promise.resolve(refused) : write(schemaId, key, document, options, judge, false);
  }

  function admitted(operations: number, bytes: number, share: number): Failure | undefined {
    return dispatcher.admits(operations, bytes, share) ? undefined : OVERLOADED;
  }

  function crowded(schemaId: SchemaId): Failure | undefined {
    // Two are the fewest that are many.
    return admitted(2, 0, template(schemaId) === undefined ? 1 : FIRST_STEP_SHARE);
  }

  async function putMany(
    schemaId: SchemaId,
    documents: ReadonlyMap<EntityKey, Uint8Array>,
    options: WriteOptions,
  ): Promise<PutManyOutcome> {
    const judge = template(schemaId);
    const validated = judge !== undefined && documents.size > 1;
    let bytes = documents.size * NAME_GROWTH_MAX * schemaId.length;
    for (const [key, document] of documents) bytes += document.byteLength + NAME_GROWTH_MAX * key.length;
    const refused = unusable(judge) ?? admitted(documents.size, bytes, validated ? FIRST_STEP_SHARE : 1) ??
      (validated ? await validate(schemaId, documents, judge) ?? admitted(documents.size, bytes, 1) : undefined);
    if (refused) return refused;
    const keys = [...documents.keys()];
    const outcomes = await Promise.all(
      keys.map((key) => write(schemaId, key, documents.get(key)!, options, judge, validated)),
    );
    return { kind: "done", outcomes: new Map(keys.map((key, i) => [key, outcomes[i]!])) };
  }

  /** Judges all documents before any is written. Any worker can: it needs no ownership. */
  async function validate(
    schemaId: SchemaId,
    documents: ReadonlyMap<EntityKey, Uint8Array>,
    judge: Template,
  ): Promise<Failure | undefined> {
    const answers = await Promise.all(
      [...documents].map(([key, payload]) =>
        dispatcher.submit(operations.make("validate", schemaId, key, { payload, schemaHash: judge.hash }), judge)
      ),
    );
    const failures = answers.flatMap(({ outcome }) => outcome.kind === "failed" ? [outcome] : []);
    if (failures.length === 0) return undefined;
    const other = failures.find((f) => f.code !== "schema_violation");
    if (other) return other;
    const room = new ViolationRoom(VIOLATIONS_CHARS_MAX, VIOLATIONS_MAX);
    return failure("schema_violation", failures[0]!.message, {
      violations: room.take(failures.flatMap((f) => f.violations ?? [])),
    });
  }

  async function patch(
    schemaId: SchemaId,
    key: EntityKey,
    payload: Uint8Array,
    conditions: Conditions,
  ): Promise<Outcome> {
    const judge = template(schemaId);
    const refused = unusable(judge);
    if (refused) return refused;
    const { ifMatch } = conditions;
    const op = operations.make("patch", schemaId, key, { payload, schemaHash: judge?.hash, ifMatch });
    return (await dispatcher.submit(op, judge)).outcome;
  }

  async function remove(schemaId: SchemaId, key: EntityKey, conditions: Conditions): Promise<Outcome> {
    const op = operations.make("delete", schemaId, key, { ifMatch: conditions.ifMatch });
    return (await dispatcher.submit(op, undefined)).outcome;
  }

  async function getMany(schemaId: SchemaId, keys: readonly EntityKey[]): Promise<ReadonlyMap<EntityKey, Outcome>> {
    const hits = new Map(keys.map((key) => [key, cached(schemaId, key, {})]));
    const missing = keys.filter((key) => hits.get(key) === undefined);
    const hasRoom = dispatcher.admits(missing.length, 0);
    const outcomes = new Map<EntityKey, Outcome>();
    let bytes = 0;
    await Promise.all(keys.map(async (key) => {
      const outcome = hits.get(key) ?? (hasRoom ? await read(schemaId, key, {}) : OVERLOADED);
      if (outcome.kind === "found") bytes += outcome.meta.size;
      outcomes.set(key, bytes > MULTI_GET_BYTES_MAX ? ANSWER_TOO_LARGE : outcome);
    }));
    return outcomes;
  }

  async function list(schemaId: SchemaId, options: ListOptions): Promise<ListOutcome> {
    const page = await lister.page({
      prefix: listPrefix(schemaId, options.prefix),
      after: options.after,
      limit: options.limit,
      want: options.values ? "documents" : "meta",
    });
    if (page.kind === "failed") return page;
    const entries = page.items.map((item): ListEntry => ({
      key: splitEntityName(item.name)!.key,
      meta: item.version === 0
        ? undefined
        : { version: item.version, etag: item.etag, writtenAtMs: item.writtenAtMs, size: item.size },
      size: item.size,
      ...(item.bytes ? { value: item.bytes } : {}),
      ...(item.problem ? { problem: item.problem } : {}),
    }));
    return { kind: "page", entries, next: page.more ? page.items.at(-1)?.name ?? null : null };
  }

  async function counts(): ReturnType<EntityService["counts"]> {
    const page = await lister.page({ prefix: "", after: "", limit: 0, want: "counts" });
    if (page.kind === "failed") return page;
    const bySchema = [...page.counts ?? []].filter(([, n]) => n !== 0).map(([prefix, n]): [SchemaId, number | null] => [
      parseSchemaId(decodeURIComponent(prefix.slice(0, -1))),
      Number.isNaN(n) ? null : n,
    ]);
    return { kind: "counts", counts: new Map(bySchema) };
  }

  function watch(schemaId: SchemaId, options: WatchOptions): Promise<Watch | Failure> {
    return watches.watch(schemaId, options);
  }

  return { get, put, crowded, putMany, patch, delete: remove, getMany, list, counts, watch };
}

const ANSWER_TOO_LARGE = failure("too_large", "the answer would be too large; ask for fewer keys at once");
