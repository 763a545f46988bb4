/// <reference lib="dom" />
/** Ctrl+S, or Cmd+S, saves what is open, wherever the focus is. */
import { useEffect, useRef } from "preact/hooks";

/** Calls `save` for the key, unless a dialog is open. The browser's own "save page" never comes up. */
export function useSaveKey(save: () => void): void {
  const latest = useRef(save);
  latest.current = save;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "s") {
        return;
      }
      event.preventDefault();
      if (!event.repeat && document.querySelector("dialog[open]") === null) latest.current();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
