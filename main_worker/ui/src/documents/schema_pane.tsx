/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The schemas on the left of the documents page, with how many documents each holds. */
import { useState } from "preact/hooks";
import { useApp } from "../app/app.ts";
import { href } from "../app/router.ts";
import type { SchemaSummary } from "../app/schemas.ts";
import { Icon } from "../components/icons.tsx";
import { Name } from "../components/name.tsx";
import { count, shortCount } from "../format/numbers.ts";

/** From this many schemas on, a filter helps. */
const FILTER_FROM = 12;

/** The pane on the left. */
export function SchemaPane({ schemas, selected }: { schemas: readonly SchemaSummary[]; selected: string | undefined }) {
  const { session } = useApp();
  const [filter, setFilter] = useState("");
  const shown = schemas.filter(({ id }) => id.toLowerCase().includes(filter.toLowerCase()));
  return (
    <section class="pane schemas-pane" aria-label="Schemas">
      <header class="pane-head">
        <h2>Schemas</h2>
        {session.may("write") && (
          <a
            class="icon-button"
            href={href("documents", { new: "1" })}
            aria-label="New document in a new schema"
            title="New document in a new schema"
          >
            <Icon name="plus" />
          </a>
        )}
      </header>
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
        {shown.map(({ id, entities }) => (
          <li key={id}>
            <a
              class="schema-link"
              href={href("documents", { schema: id })}
              aria-current={id === selected ? "true" : undefined}
            >
              <span class="schema-name">
                <Name value={id} />
              </span>
              {entities !== null && (
                <span class="schema-count" title={`${count(entities)} documents`}>
                  {shortCount(entities)}
                  <span class="off-screen">{entities === 1 ? " document" : " documents"}</span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
      {shown.length === 0 && <p class="quiet">No schema matches.</p>}
    </section>
  );
}
