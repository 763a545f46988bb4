/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Shows the secret of a new API key: this once, never again. */
import type { NewApiKeyJson } from "../api/types.ts";
import { Button, CopyButton } from "../components/button.tsx";
import { Dialog } from "../components/dialog.tsx";
import { Note } from "../components/states.tsx";

/** Ends only by its button, so that no stray key press loses the secret. */
export function SecretDialog({ apiKey, onClose }: { apiKey: NewApiKeyJson; onClose: () => void }) {
  return (
    <Dialog title={`The key of ${apiKey.name}`} wide>
      <Note kind="warn">
        <p>
          This is the only time that it is shown: the server keeps a hash of it, not the key. Copy it to where it is
          used.
        </p>
      </Note>
      <div class="secret">
        <code aria-label="Secret">{apiKey.secret}</code>
        <CopyButton text={apiKey.secret} />
      </div>
      <footer class="dialog-foot">
        <Button kind="primary" onClick={onClose}>I have copied it</Button>
      </footer>
    </Dialog>
  );
}
