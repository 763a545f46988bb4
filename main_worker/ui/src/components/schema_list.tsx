/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Schemas one below the other, with a filter where there are many. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { SchemaSummary } from "../app/schemas.ts";
import { Icon } from "./icons.tsx";

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
        <div class="search">
          <Icon name="search" size={16} />
          <input
            type="search"
            aria-label="Filter schemas"
            placeholder="Filter"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </div>
      )}
      <ul class="schema-list">
        {shown.map((schema) => <li key={schema.id}>{link(schema)}</li>)}
      </ul>
      {schemas.length > 0 && shown.length === 0 && <p class="quiet">No schema matches.</p>}
    </>
  );
}
