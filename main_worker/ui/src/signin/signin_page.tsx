/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** Sign in with the admin key, an API key, or without one in dev mode. */
import { useApp } from "../app/app.ts";
import { Logo } from "../components/logo.tsx";
import { Note } from "../components/states.tsx";
import { ThemeButton } from "../components/theme_button.tsx";
import { SignInForm } from "./signin_form.tsx";

/** The page at `/signin`; leads on to `?next=…`. */
export function SignInPage() {
  const { connection } = useApp();
  return (
    <main class="signin">
      <div class="signin-corner">
        <ThemeButton />
      </div>
      <div class="signin-card">
        <Logo />
        <h1>DeltaDatabase</h1>
        <p class="lead">JSON documents, checked on the way in and encrypted at rest.</p>
        {!connection.online.value && (
          <Note kind="danger">
            <p>The server does not answer yet. This page goes on by itself when it does.</p>
          </Note>
        )}
        <SignInForm />
        <p class="fine">
          The key is exchanged for a session that lives in this tab only.{" "}
          <a href="/docs" target="_blank" rel="noreferrer">API reference</a>
        </p>
      </div>
    </main>
  );
}
