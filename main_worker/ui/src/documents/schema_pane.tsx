/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The schemas on the left of the documents page, with how many documents each holds. */
import { useApp } from "../app/app.ts";
import { href } from "../app/router.ts";
import type { SchemaSummary } from "../app/schemas.ts";
import { Icon } from "../components/icons.tsx";
import { Name } from "../components/name.tsx";
import { SchemaList } from "../components/schema_list.tsx";
import { count, shortCount } from "../format/numbers.ts";

/** The pane on the left. */
export function SchemaPane({ schemas, selected }: { schemas: readonly SchemaSummary[]; selected: string | undefined }) {
  const { session } = useApp();
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
      <SchemaList
        schemas={schemas}
        link={({ id, entities }) => (
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
        )}
      />
    </section>
  );
}
