/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** A session that has ended while somebody worked: sign in again over the page, which keeps what is on it. */
import { useApp } from "../app/app.ts";
import { Button } from "../components/button.tsx";
import { Dialog } from "../components/dialog.tsx";
import { SignInForm } from "./signin_form.tsx";

/** Nothing while the session holds. */
export function SignInAgain() {
  const { session, connection, router } = useApp();
  const leave = () => {
    router.guard = null;
    session.end();
  };
  if (!session.lapsed.value) return null;
  return (
    <Dialog title="Your session has ended">
      <p class="dialog-text">Sign in again to go on. What you have on the screen stays as it is.</p>
      <SignInForm onDone={() => connection.renew()} />
      <footer class="dialog-foot">
        <Button kind="ghost" onClick={leave}>Leave</Button>
      </footer>
    </Dialog>
  );
}
