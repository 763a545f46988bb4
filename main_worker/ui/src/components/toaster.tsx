/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Shows the toasts and reads them to screen readers. */
import { useApp } from "../app/app.ts";
import { Icon } from "./icons.tsx";

/** The place of the toasts, once per window. */
export function Toaster() {
  const { toasts } = useApp();
  return (
    <section class="toaster" aria-label="Notifications" aria-live="polite" aria-relevant="additions">
      {toasts.list.value.map(({ id, kind, text, action }) => (
        <div key={id} class={`toast ${kind}`}>
          <Icon name={kind === "done" ? "check" : kind === "failed" ? "warning" : "info"} />
          <p>{text}</p>
          {action && (
            <button
              type="button"
              class="toast-action"
              onClick={() => {
                toasts.dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="toast-close" aria-label="Dismiss" onClick={() => toasts.dismiss(id)}>
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </section>
  );
}
