/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Downloads a backup. Where the browser can, straight into a file; otherwise through memory. */
import { useRef, useState } from "preact/hooks";
import { explain } from "../api/errors.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Note } from "../components/states.tsx";
import { bytes } from "../format/numbers.ts";
import { BackupWatcher } from "./backup_stream.ts";

interface FileWriter {
  write(piece: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

interface FileHandle {
  createWritable(): Promise<FileWriter>;
}

type SavePicker = (options: { suggestedName: string }) => Promise<FileHandle>;

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly bytes: number }
  | { readonly kind: "done"; readonly bytes: number; readonly name: string }
  | { readonly kind: "failed"; readonly message: string };

/** deltadatabase-2026-11-24-2205.ndjson, by the clock of the viewer. */
function backupName(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return `deltadatabase-${date}-${two(now.getHours())}${two(now.getMinutes())}.ndjson`;
}

/** Collects pieces in a blob, which the browser may keep on disk, and hands it over as a download. */
function memoryWriter(name: string): FileWriter {
  const pieces: Blob[] = [];
  return {
    write: (piece) => {
      pieces.push(new Blob([new Uint8Array(piece)]));
      return Promise.resolve();
    },
    close: () => {
      const url = URL.createObjectURL(new Blob(pieces, { type: "application/x-ndjson" }));
      const link = document.createElement("a");
      link.href = url;
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      return Promise.resolve();
    },
    abort: () => {
      pieces.length = 0;
      return Promise.resolve();
    },
  };
}

async function openWriter(name: string): Promise<FileWriter> {
  const picker = (globalThis as { showSaveFilePicker?: SavePicker }).showSaveFilePicker;
  if (!picker) return memoryWriter(name);
  const handle = await picker({ suggestedName: name });
  return await handle.createWritable();
}

/** The card with the download. */
export function BackupCard() {
  const { client } = useApp();
  const [state, setState] = useState<State>({ kind: "idle" });
  const stop = useRef<AbortController | null>(null);

  const run = async () => {
    const name = backupName(new Date());
    let writer: FileWriter;
    try {
      writer = await openWriter(name);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) {
        setState({ kind: "failed", message: explain(error) });
      }
      return;
    }
    const controller = new AbortController();
    stop.current = controller;
    setState({ kind: "running", bytes: 0 });
    try {
      const response = await client.request("/admin/backup", { signal: controller.signal, timeoutMs: null });
      const watcher = new BackupWatcher();
      const reader = response.body!.getReader();
      let shownAt = 0;
      while (true) {
        const { done, value } = await reader.read();
        if (done) break;
        watcher.push(value);
        await writer.write(value);
        if (performance.now() - shownAt > 100) {
          shownAt = performance.now();
          setState({ kind: "running", bytes: watcher.bytes });
        }
      }
      if (!watcher.trailer) {
        throw new Error(
          "The backup broke off before its last line, so it is not whole. Try again; the server's log says why.",
        );
      }
      await writer.close();
      setState({ kind: "done", bytes: watcher.bytes, name });
    } catch (error) {
      await writer.abort().catch(() => undefined);
      if (controller.signal.aborted) setState({ kind: "idle" });
      else setState({ kind: "failed", message: explain(error) });
    }
  };

  return (
    <section class="card" aria-labelledby="backup-title">
      <h2 id="backup-title">Backup</h2>
      <p>
        Everything that is stored, still encrypted: documents, schemas, hashes of API keys. The database goes on working
        meanwhile. Keep the master key elsewhere: without it a backup cannot be read.
      </p>
      <div aria-live="polite">
        {state.kind === "running" && (
          <p class="progress-line">
            <progress aria-label="Backup is being downloaded" /> {bytes(state.bytes)}
          </p>
        )}
        {state.kind === "done" && (
          <Note kind="ok">
            <p>{state.name} is complete: {bytes(state.bytes)}.</p>
          </Note>
        )}
        {state.kind === "failed" && (
          <Note kind="danger">
            <p>{state.message}</p>
          </Note>
        )}
      </div>
      <div class="card-foot">
        {state.kind === "running"
          ? <Button onClick={() => stop.current?.abort()}>Cancel</Button>
          : <Button kind="primary" icon="download" onClick={run}>Download a backup</Button>}
      </div>
    </section>
  );
}
