/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Documents: schemas, their keys, and the one that is open. */
import { useEffect, useState } from "preact/hooks";
import { useApp } from "../app/app.ts";
import { Empty, Problem, Skeleton } from "../components/states.tsx";
import { DocumentPane } from "./document_pane.tsx";
import { Feed } from "./feed.ts";
import { KeyPane } from "./key_pane.tsx";
import { NewDocument } from "./new_document.tsx";
import { SchemaPane } from "./schema_pane.tsx";

/** The page at `/documents?schema=…&key=…`. */
export function DocumentsPage() {
  const app = useApp();
  const { query } = app.router.route.value;
  const { schema, key, prefix = "" } = query;
  const creating = query.new !== undefined && app.session.may("write");
  const schemas = app.schemas.list.value;
  const generation = app.connection.generation.value;

  useEffect(() => {
    app.schemas.load();
  }, [generation]);
  const feed = useFeed(schema);

  if (!schemas) {
    return (
      <div class="page">
        {app.schemas.error.value
          ? <Problem error={app.schemas.error.value} retry={() => app.schemas.load()} />
          : <Skeleton lines={8} />}
      </div>
    );
  }
  if (schemas.length === 0 && schema === undefined) return <FirstDocument />;
  const level = key !== undefined || creating ? "document" : schema !== undefined ? "keys" : "schemas";
  return (
    <div class="documents" data-level={level}>
      <h1 class="off-screen">Documents</h1>
      <SchemaPane schemas={schemas} selected={schema} />
      {schema !== undefined && feed
        ? <KeyPane key={schema} schema={schema} selectedKey={key} prefix={prefix} feed={feed} />
        : <section class="pane keys-pane hollow" aria-label="Keys" />}
      {creating
        ? <NewDocument key={`new ${schema}`} schema={schema} presetKey={query.new === "1" ? "" : query.new!} />
        : schema !== undefined && key !== undefined && feed
        ? <DocumentPane key={`${schema}/${key}`} schema={schema} documentKey={key} feed={feed} />
        : (
          <section class="pane document-pane hollow" aria-label="Document">
            <Empty icon="documents" title={schema === undefined ? "Choose a schema" : "Choose a document"}>
              <p>
                {schema === undefined
                  ? "A schema is a namespace: its documents share rules, and a key is unique inside it."
                  : "Search by the beginning of its key, or move through the list with the arrow keys."}
              </p>
            </Empty>
          </section>
        )}
    </div>
  );
}

function useFeed(schema: string | undefined): Feed | null {
  const { client, connection } = useApp();
  const generation = connection.generation.value;
  const [feed, setFeed] = useState<Feed | null>(null);
  useEffect(() => {
    if (schema === undefined) return setFeed(null);
    const opened = new Feed(client, schema);
    setFeed(opened);
    return () => opened.close();
  }, [schema, generation]);
  return feed;
}

function FirstDocument() {
  const { session } = useApp();
  if (!session.may("write")) {
    return (
      <div class="page">
        <h1 class="off-screen">Documents</h1>
        <Empty icon="documents" title="Nothing is stored yet">
          <p>Documents appear here as soon as somebody writes one. This credential may read only.</p>
        </Empty>
      </div>
    );
  }
  return (
    <div class="first-document">
      <div class="first-words">
        <h1>Store your first document</h1>
        <p>
          A document is any JSON. It lives under a <b>key</b>, inside a <b>schema</b>{" "}
          that you name as you like. Without rules a schema takes any JSON; you can add rules later.
        </p>
      </div>
      <NewDocument schema={undefined} presetKey="" />
    </div>
  );
}
