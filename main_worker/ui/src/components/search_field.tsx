/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** A field for a part of what is looked for, with a magnifying glass in it. */
import type { JSX } from "preact";
import { Icon } from "./icons.tsx";

type Attributes = Pick<
  JSX.IntrinsicElements["input"],
  "aria-label" | "placeholder" | "value" | "spellcheck" | "autocapitalize"
>;

/** The field; `onText` is called with all that is in it, as it changes. */
export function SearchField({ onText, ...attributes }: Attributes & { readonly onText: (text: string) => void }) {
  return (
    <div class="search">
      <Icon name="search" size={16} />
      <input type="search" {...attributes} onInput={(event) => onText(event.currentTarget.value)} />
    </div>
  );
}
