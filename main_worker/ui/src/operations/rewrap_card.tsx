/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Re-encrypts everything under the current master key, and shows how far it is. */
import { useEffect, useState } from "preact/hooks";
import { explain, sentence } from "../api/errors.ts";
import type { RewrapProgress } from "../../../front/rest/admin_operations.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Note } from "../components/states.tsx";
import { count, counted } from "../format/numbers.ts";
import { fullTime } from "../format/time.ts";

const POLL_MS = 1_000;

/** The card of the re-encryption. `keyId`: the key under which everything is to be. */
export function RewrapCard({ keyId }: { keyId: string | undefined }) {
  const { client, connection } = useApp();
  const [progress, setProgress] = useState<RewrapProgress | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const generation = connection.generation.value;
  const running = progress?.status === "running";

  const load = async (method: "GET" | "POST") => {
    try {
      setProgress(await client.json<RewrapProgress>("/admin/rewrap", { method }));
      setFailure(null);
    } catch (error) {
      setFailure(explain(error));
    }
  };
  useEffect(() => {
    load("GET");
  }, [generation]);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => load("GET"), POLL_MS);
    return () => clearInterval(timer);
  }, [running]);

  const start = async () => {
    setBusy(true);
    await load("POST");
    setBusy(false);
  };
  return (
    <section class="card" aria-labelledby="rewrap-title">
      <h2 id="rewrap-title">Change of the master key</h2>
      <p>
        Re-encrypts every document under the current key {keyId && <code>{keyId}</code>}{" "}
        in the background. Start the main worker with the new key and the old one in <code>-old-master-keys</code>{" "}
        first; when this is done, the old one can go.
      </p>
      <div aria-live="polite">
        {failure && (
          <Note kind="danger">
            <p>{failure}</p>
          </Note>
        )}
        {progress && <Progress progress={progress} />}
      </div>
      <div class="card-foot">
        <Button icon="refresh" busy={busy || running} onClick={start}>
          {running ? "Re-encrypting" : progress?.status === "failed" ? "Try the rest again" : "Re-encrypt everything"}
        </Button>
      </div>
    </section>
  );
}

function Progress({ progress }: { progress: RewrapProgress }) {
  const { status, scanned, rewrapped, failed, total, finished_at, error } = progress;
  if (status === "running") {
    return (
      <p class="progress-line">
        {total === null
          ? <progress aria-label="Re-encryption" />
          : <progress aria-label="Re-encryption" value={scanned} max={Math.max(1, total)} />}
        {count(scanned)}
        {total !== null && ` of ${count(total)}`} looked at, {count(rewrapped)} re-encrypted
      </p>
    );
  }
  if (status === "done") {
    return (
      <Note kind="ok">
        <p>
          Done{finished_at && ` ${fullTime(Date.parse(finished_at))}`}: {counted(scanned, "document")} looked at,{" "}
          {count(rewrapped)} re-encrypted.
        </p>
      </Note>
    );
  }
  if (status === "failed") {
    return (
      <Note kind="danger">
        <p>{counted(failed, "document")} could not be re-encrypted. {error && sentence(error)}</p>
      </Note>
    );
  }
  return null;
}
