/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** Asks for a key and exchanges it for a session. In dev mode, one button does without. */
import { useState } from "preact/hooks";
import { ApiError, explain } from "../api/errors.ts";
import type { Login, Me } from "../api/types.ts";
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Field } from "../components/field.tsx";
import { Note } from "../components/states.tsx";

/** `onDone`: called when the session has begun. */
export function SignInForm({ onDone }: { onDone?: () => void }) {
  const app = useApp();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const devMode = app.devMode.value;

  const signIn = async (body: { key: string } | { client_id: string }) => {
    setBusy(true);
    setError(undefined);
    try {
      const login = await app.anonymous.send<Login>("POST", "/api/login", body);
      const me = await app.anonymous.json<Me>("/api/me", { headers: { Authorization: `Bearer ${login.token}` } });
      app.session.begin(login, me);
      onDone?.();
    } catch (failure) {
      const refused = failure instanceof ApiError && failure.status === 401;
      setError(
        refused ? "That key is not known here. Check that it is whole, or ask for a new one." : explain(failure),
      );
      setBusy(false);
    }
  };

  return (
    <div class="signin-form">
      {devMode && (
        <section class="signin-dev" aria-label="Dev mode">
          <Note kind="warn">
            <p>
              <b>Dev mode.</b>{" "}
              No admin key is set: everybody who reaches this address may read and write. Fine on your own machine, not
              on a network.
            </p>
          </Note>
          <Button kind="primary" busy={busy} onClick={() => signIn({ client_id: "browser" })}>
            Continue without a key
          </Button>
          <p class="or">
            <span>or with an API key</span>
          </p>
        </section>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim() === "") setError("Enter a key first.");
          else signIn({ key: key.trim() });
        }}
      >
        <input
          class="off-screen"
          type="text"
          autocomplete="username"
          value="DeltaDatabase"
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        <Field
          label={devMode ? "API key" : "Admin key or API key"}
          type="password"
          autocomplete="current-password"
          value={key}
          onInput={setKey}
          error={error}
          mono
          autofocus={devMode === false}
        />
        <Button kind={devMode ? "plain" : "primary"} type="submit" busy={busy}>Sign in</Button>
      </form>
    </div>
  );
}
