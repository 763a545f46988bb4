/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** A name that somebody chose, such that two that differ can be told apart. */
import { pieces } from "../format/visible.ts";

/** The name; what cannot be seen in it is marked, and its direction of writing stays inside. */
export function Name({ value }: { value: string }) {
  return (
    <bdi>
      {pieces(value).map(({ text, marked }, index) =>
        marked ? <span key={index} class="unseen" title="Cannot be seen in the name itself">{text}</span> : text
      )}
    </bdi>
  );
}
