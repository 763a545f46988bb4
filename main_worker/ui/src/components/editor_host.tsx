/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The place of the JSON editor on a page; fetches the editor when it is shown for the first time. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { JsonEditor } from "../editor/json_editor.ts";
import { Problem, Skeleton } from "./states.tsx";

interface EditorHostProps {
  readonly label: string;
  /** Text to start with; later changes go through the handle. */
  readonly text: string;
  readonly readOnly?: boolean;
  readonly placeholder?: string;
  readonly onChange?: (text: string) => void;
  readonly onSave?: () => void;
  /** Called once the editor stands. */
  readonly onReady?: (editor: JsonEditor) => void;
}

/** The editor; skeleton lines until it has been fetched. */
export function EditorHost(props: EditorHostProps) {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const editor = useRef<JsonEditor | null>(null);
  const [state, setState] = useState<"loading" | "ready" | "failed">("loading");

  useEffect(() => {
    let gone = false;
    import("../editor/json_editor.ts").then(({ createJsonEditor }) => {
      if (gone) return;
      editor.current = createJsonEditor({
        parent: host.current!,
        text: latest.current.text,
        label: latest.current.label,
        readOnly: latest.current.readOnly ?? false,
        ...(latest.current.placeholder ? { placeholder: latest.current.placeholder } : {}),
        onChange: (text) => latest.current.onChange?.(text),
        onSave: () => latest.current.onSave?.(),
      });
      setState("ready");
      latest.current.onReady?.(editor.current);
    }, () => setState("failed"));
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);

  useEffect(() => {
    editor.current?.setReadOnly(props.readOnly ?? false);
  }, [props.readOnly]);

  return (
    <div class="editor">
      {state === "loading" && <Skeleton lines={8} label="Loading the editor" />}
      {state === "failed" && (
        <Problem
          error={new Error("The editor could not be fetched. Reload the page.")}
          retry={() => location.reload()}
        />
      )}
      <div ref={host} class="editor-host" />
    </div>
  );
}
