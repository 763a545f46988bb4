/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Schemas: the rules by which documents are judged. List on the left, the open one on the right. */
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app/app.ts";
import { href } from "../app/router.ts";
import type { SchemaSummary } from "../app/schemas.ts";
import { Icon } from "../components/icons.tsx";
import { Name } from "../components/name.tsx";
import { SchemaList } from "../components/schema_list.tsx";
import { Empty, Problem, Skeleton } from "../components/states.tsx";
import { counted } from "../format/numbers.ts";
import { SchemaEditor } from "./schema_editor.tsx";

/** The page at `/schemas?id=…`. */
export function SchemasPage() {
  const app = useApp();
  const { id, new: isNew } = app.router.route.value.query;
  const schemas = app.schemas.list.value;
  const generation = app.connection.generation.value;
  const writable = app.session.may("write");
  useEffect(() => {
    app.schemas.load();
  }, [generation]);

  if (!schemas) {
    return (
      <div class="page">
        {app.schemas.error.value
          ? <Problem error={app.schemas.error.value} retry={() => app.schemas.load()} />
          : <Skeleton lines={8} />}
      </div>
    );
  }
  const creating = isNew !== undefined && writable;
  const level = id !== undefined || creating ? "schema" : "list";
  return (
    <div class="schemas" data-level={level}>
      <h1 class="off-screen">Schemas</h1>
      <section class="pane schemas-pane" aria-label="Schemas">
        <header class="pane-head">
          <h2 class="pane-heading">Schemas</h2>
          {writable && (
            <a class="button primary" href={href("schemas", { new: "1" })}>
              <Icon name="plus" size={16} />
              <span>New</span>
            </a>
          )}
        </header>
        <SchemaList
          schemas={schemas}
          link={(schema) => <SchemaLink schema={schema} selected={schema.id === id} />}
        />
        {schemas.length === 0 && <p class="quiet">No schema yet.</p>}
      </section>
      {creating
        ? <SchemaEditor key="new" id={undefined} text={STARTER} entities={0} stored={false} />
        : id !== undefined
        ? <OpenSchema key={id} id={id} summary={schemas.find((schema) => schema.id === id)} />
        : (
          <section class="pane document-pane hollow" aria-label="Schema">
            <Empty icon="schemas" title={schemas.length === 0 ? "No rules yet" : "Choose a schema"}>
              <p>
                A JSON Schema says what documents of its name must look like. Every write is judged by it before it is
                stored; without one, any JSON is taken.
              </p>
              {writable && schemas.length === 0 && (
                <a class="button primary" href={href("schemas", { new: "1" })}>
                  <Icon name="plus" size={16} />
                  <span>New schema</span>
                </a>
              )}
            </Empty>
          </section>
        )}
    </div>
  );
}

const STARTER = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "title": { "type": "string", "minLength": 1 }
  },
  "required": ["title"]
}`;

function SchemaLink({ schema, selected }: { schema: SchemaSummary; selected: boolean }) {
  const { id, entities, hasTemplate } = schema;
  return (
    <a class="schema-link tall" href={href("schemas", { id })} aria-current={selected ? "true" : undefined}>
      <span class="schema-name">
        <Name value={id} />
      </span>
      <span class="schema-facts">
        {hasTemplate ? "JSON Schema" : "any JSON"}
        {entities !== null && ` · ${counted(entities, "document")}`}
      </span>
    </a>
  );
}

function OpenSchema({ id, summary }: { id: string; summary: SchemaSummary | undefined }) {
  const { client } = useApp();
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const load = async () => {
    setError(null);
    try {
      setText(await (await client.request(`/schema/${encodeURIComponent(id)}`)).text());
    } catch (failure) {
      setError(failure);
    }
  };
  useEffect(() => {
    if (summary?.hasTemplate) load();
  }, [summary?.hasTemplate]);
  if (!summary) {
    return (
      <section class="pane document-pane" aria-label={`Schema ${id}`}>
        <Empty icon="schemas" title="There is no such schema">
          <p>It was deleted, or it never existed.</p>
          <a class="button" href={href("schemas")}>All schemas</a>
        </Empty>
      </section>
    );
  }
  if (!summary.hasTemplate) return <SchemaEditor id={id} text={STARTER} entities={summary.entities} stored={false} />;
  if (error) {
    return (
      <section class="pane document-pane" aria-label={`Schema ${id}`}>
        <Problem error={error} retry={load} />
      </section>
    );
  }
  if (text === null) {
    return (
      <section class="pane document-pane" aria-label={`Schema ${id}`}>
        <Skeleton lines={8} />
      </section>
    );
  }
  return <SchemaEditor id={id} text={text} entities={summary.entities} stored />;
}
