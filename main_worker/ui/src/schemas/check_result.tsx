/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** What a check of a schema against the documents found: how many would not pass, and which. */
import { sentence } from "../api/errors.ts";
import type { SchemaCheck } from "../api/types.ts";
import { href } from "../app/router.ts";
import { Name } from "../components/name.tsx";
import { Note } from "../components/states.tsx";
import { count, counted } from "../format/numbers.ts";

/** The result in a sentence, with links to the documents that would fail. */
export function CheckResult({ schema, check }: { schema: string; check: SchemaCheck }) {
  if (check.checked === 0) {
    return (
      <Note kind="ok">
        <p>The schema is valid. There is no document to check yet.</p>
      </Note>
    );
  }
  if (check.failing === 0) {
    return (
      <Note kind="ok">
        <p>All {counted(check.checked, "document")} would pass.</p>
      </Note>
    );
  }
  const hidden = check.failing - check.examples.length;
  return (
    <Note kind="warn">
      <p>
        <b>{count(check.failing)} of {count(check.checked)} would not pass.</b>{" "}
        They stay and can be read; their next write must follow the rules.
      </p>
      <ul class="check-list">
        {check.examples.map(({ key, violations }) => (
          <li key={key}>
            <a href={href("documents", { schema, key })}>
              <Name value={key} />
            </a>
            <span>
              {violations.map(({ path, message }) => `${path === "" ? "whole document" : path}: ${sentence(message)}`)
                .join(" ")}
            </span>
          </li>
        ))}
      </ul>
      {hidden > 0 && <p>and {count(hidden)} more.</p>}
    </Note>
  );
}
