/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Schemas one below the other, with a filter where there are many. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { SchemaSummary } from "../app/schemas.ts";
import { SearchField } from "./search_field.tsx";

interface SchemaListProps {
  readonly schemas: readonly SchemaSummary[];
  /** What is shown of one: a link to it. */
  readonly link: (schema: SchemaSummary) => ComponentChildren;
}

/** From this many schemas on, a filter helps. */
const FILTER_FROM = 12;

/** The list. */
export function SchemaList({ schemas, link }: SchemaListProps) {
  const [filter, setFilter] = useState("");
  const shown = schemas.filter(({ id }) => id.toLowerCase().includes(filter.toLowerCase()));
  return (
    <>
      {schemas.length >= FILTER_FROM && (
        <SearchField aria-label="Filter schemas" placeholder="Filter" value={filter} onText={setFilter} />
      )}
      <ul class="schema-list">
        {shown.map((schema) => <li key={schema.id}>{link(schema)}</li>)}
      </ul>
      {schemas.length > 0 && shown.length === 0 && <p class="quiet">No schema matches.</p>}
    </>
  );
}
