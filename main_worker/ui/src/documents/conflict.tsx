/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Two versions of a document beside each other: what somebody else saved meanwhile, and what is in this browser. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { StoredDocument } from "../api/client.ts";
import { useApp } from "../app/app.ts";
import { useLazyModule } from "../app/lazy_module.ts";
import { Button } from "../components/button.tsx";
import { loadEditor } from "../components/editor_host.tsx";
import { Note, Problem } from "../components/states.tsx";
import { formatJson } from "../format/json_text.ts";
import { moment } from "../format/time.ts";

interface ConflictProps {
  /** The version on the server; `null`: it was deleted. */
  readonly theirs: StoredDocument | null;
  readonly mine: string;
  readonly busy: boolean;
  /** Drop what is here. */
  readonly onTakeTheirs: () => void;
  /** Save this text over theirs. */
  readonly onSaveMine: (text: string) => void;
  /** Back to the editor with this text, nothing decided. */
  readonly onBack: (text: string) => void;
}

/** Both sides, and the decision. */
export function Conflict({ theirs, mine, busy, onTakeTheirs, onSaveMine, onBack }: ConflictProps) {
  const { nowMs } = useApp();
  const host = useRef<HTMLDivElement>(null);
  const [text, setText] = useState(() => formatJson(mine));
  const { part, problem, retry } = useLazyModule(loadEditor);

  useEffect(() => {
    if (!part) return;
    const view = part.createMergeView({
      parent: host.current!,
      theirs: theirs ? formatJson(theirs.text) : "",
      mine: text,
      onChange: setText,
    });
    return () => view.destroy();
  }, [part, theirs?.etag]);
  const when = theirs?.updatedAtMs ? `, saved ${moment(theirs.updatedAtMs, nowMs.value)}` : "";
  return (
    <section class="conflict" aria-label="Conflict">
      <Note kind="warn">
        <p>
          {theirs
            ? "Somebody else saved this document after you opened it. Nothing of yours was saved yet. Compare, correct the right side if you want, then decide."
            : "Somebody else deleted this document after you opened it. Saving yours creates it again."}
        </p>
      </Note>
      <div class="conflict-heads">
        <h3>{theirs ? `Theirs: version ${theirs.version}${when}` : "Theirs: deleted"}</h3>
        <h3>Yours</h3>
      </div>
      {problem && <Problem error={problem} retry={retry} />}
      <div ref={host} class="merge-host" />
      <footer class="pane-foot">
        <Button kind="ghost" onClick={() => onBack(text)}>Back to editing</Button>
        <span class="grow" />
        <Button disabled={busy} onClick={onTakeTheirs}>{theirs ? "Keep theirs" : "Leave it deleted"}</Button>
        <Button kind="primary" busy={busy} onClick={() => onSaveMine(text)}>
          {theirs ? `Save mine over version ${theirs.version}` : "Create it again"}
        </Button>
      </footer>
    </section>
  );
}
