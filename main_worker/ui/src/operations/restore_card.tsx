/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Restores a backup from a file: sent, checked and written as a stream, with progress. */
import { useId, useRef, useState } from "preact/hooks";
import { explain, sentence } from "../api/errors.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Note } from "../components/states.tsx";
import { bytes, count, counted } from "../format/numbers.ts";
import { type RestoreLine, type RestoreProgress, uploadBackup } from "./restore_upload.ts";

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly progress: RestoreProgress }
  | { readonly kind: "done"; readonly line: RestoreLine }
  | { readonly kind: "failed"; readonly message: string; readonly line: RestoreLine | null };

/** What has been restored, in words. */
function restored(line: RestoreLine): string {
  const skipped = (line.entities_skipped ?? 0) + (line.templates_skipped ?? 0) + (line.api_keys_skipped ?? 0);
  const parts = [
    counted(line.entities ?? 0, "document"),
    counted(line.templates ?? 0, "schema"),
    counted(line.api_keys ?? 0, "API key"),
  ];
  return `${parts.join(", ")}${skipped > 0 ? `; ${count(skipped)} were there already and left alone` : ""}`;
}

/** The card with the upload. */
export function RestoreCard() {
  const app = useApp();
  const [file, setFile] = useState<File | null>(null);
  const [existing, setExisting] = useState<"skip" | "overwrite">("skip");
  const [state, setState] = useState<State>({ kind: "idle" });
  const stop = useRef<AbortController | null>(null);
  const id = useId();

  const run = async () => {
    if (!file) return;
    if (existing === "overwrite") {
      const sure = await app.questions.ask({
        title: "Overwrite what is there?",
        text:
          "Documents, schemas and keys of the same name are replaced by those of the backup. Download a backup of the present state first.",
        confirm: "Restore and overwrite",
        danger: true,
      });
      if (!sure) return;
    }
    const controller = new AbortController();
    stop.current = controller;
    let latest: RestoreProgress = { sentBytes: 0, line: null };
    setState({ kind: "running", progress: latest });
    try {
      const token = app.session.current.value?.token ?? "";
      const line = await uploadBackup(file, existing, token, (progress) => {
        latest = progress;
        setState({ kind: "running", progress });
      }, controller.signal);
      if (line.status === "done") setState({ kind: "done", line });
      else setState({ kind: "failed", message: sentence(line.error ?? "the restore failed"), line });
      app.schemas.load();
    } catch (error) {
      const cancelled = controller.signal.aborted;
      const message = cancelled ? "Cancelled. What was restored until then stays." : explain(error);
      setState({ kind: "failed", message, line: latest.line });
    }
  };

  const running = state.kind === "running" ? state.progress : null;
  return (
    <section class="card" aria-labelledby="restore-title">
      <h2 id="restore-title">Restore</h2>
      <p>
        Brings back a backup, into this store or one of the other kind. Each document is checked against the keys that
        this server holds before it is written.
      </p>
      <div class="field">
        <label for={`${id}-file`}>Backup file</label>
        <input
          id={`${id}-file`}
          class="input file"
          type="file"
          accept=".ndjson,application/x-ndjson"
          disabled={running !== null}
          onChange={(event) => {
            setFile(event.currentTarget.files?.[0] ?? null);
            setState({ kind: "idle" });
          }}
        />
      </div>
      <fieldset class="group inline" disabled={running !== null}>
        <legend>What exists already is</legend>
        {(["skip", "overwrite"] as const).map((choice) => (
          <label key={choice} class="radio">
            <input
              type="radio"
              name={`${id}-existing`}
              checked={existing === choice}
              onChange={() => setExisting(choice)}
            />
            {choice === "skip" ? "left alone" : "overwritten"}
          </label>
        ))}
      </fieldset>
      <div aria-live="polite">
        {running && file && (
          <p class="progress-line">
            <progress aria-label="Backup is being restored" value={running.sentBytes} max={file.size} />
            {bytes(running.sentBytes)} of {bytes(file.size)} sent
            {running.line && `, ${counted(running.line.entities ?? 0, "document")} restored`}
          </p>
        )}
        {state.kind === "done" && (
          <Note kind="ok">
            <p>Restored: {restored(state.line)}.</p>
          </Note>
        )}
        {state.kind === "failed" && (
          <Note kind="danger">
            <p>{state.message}{state.line && ` Until then: ${restored(state.line)}.`}</p>
          </Note>
        )}
      </div>
      <div class="card-foot">
        {running
          ? <Button onClick={() => stop.current?.abort()}>Cancel</Button>
          : <Button icon="upload" disabled={!file} onClick={run}>Restore</Button>}
      </div>
    </section>
  );
}
