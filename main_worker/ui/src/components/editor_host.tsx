/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The place of the JSON editor on a page; fetches the editor when it is shown for the first time. */
import { useEffect, useRef } from "preact/hooks";
import { useLazyModule } from "../app/lazy_module.ts";
import type { JsonEditor } from "../editor/json_editor.ts";
import { Problem, Skeleton } from "./states.tsx";

interface EditorHostProps {
  readonly label: string;
  /** Text to start with; later changes go through the handle. */
  readonly text: string;
  readonly readOnly?: boolean;
  readonly onChange?: (text: string) => void;
  /** Called once the editor stands. */
  readonly onReady?: (editor: JsonEditor) => void;
}

/** Fetches the editor, once for all who wait for it. */
export const loadEditor = () => import("../editor/json_editor.ts");

/** The editor; skeleton lines until it has been fetched. */
export function EditorHost(props: EditorHostProps) {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const editor = useRef<JsonEditor | null>(null);
  const { part, problem, retry } = useLazyModule(loadEditor);

  useEffect(() => {
    if (!part) return;
    const { label, text, readOnly = false } = latest.current;
    editor.current = part.createJsonEditor({
      parent: host.current!,
      text,
      label,
      readOnly,
      onChange: (text) => latest.current.onChange?.(text),
    });
    latest.current.onReady?.(editor.current);
    return () => editor.current?.destroy();
  }, [part]);

  useEffect(() => {
    editor.current?.setReadOnly(props.readOnly ?? false);
  }, [props.readOnly]);

  return (
    <div class="editor">
      {!part && !problem && <Skeleton lines={8} label="Loading the editor" />}
      {problem && <Problem error={problem} retry={retry} />}
      <div ref={host} class="editor-host" />
    </div>
  );
}
