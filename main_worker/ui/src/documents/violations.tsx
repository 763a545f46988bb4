/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The ways in which a document breaks its schema, each a button that leads to its place in the editor. */
import type { Violation } from "../api/types.ts";
import { sentence } from "../api/errors.ts";
import { counted } from "../format/numbers.ts";

/** The list under the editor; nothing when there is none. */
export function Violations({ list, onReveal }: { list: readonly Violation[]; onReveal: (path: string) => void }) {
  if (list.length === 0) return null;
  return (
    <section class="violations" role="alert" aria-label="Violations of the schema">
      <h3>{counted(list.length, "place")} to correct. Nothing was saved.</h3>
      <ul>
        {list.map(({ path, message }, index) => (
          <li key={index}>
            <button type="button" onClick={() => onReveal(path)}>
              <code>{path === "" ? "(whole document)" : path}</code>
              <span>{sentence(message)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
