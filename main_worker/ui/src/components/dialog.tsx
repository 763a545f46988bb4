/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** A window over the page. The browser's own `dialog` keeps the focus inside and returns it afterwards. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { useApp } from "../app/app.ts";
import { Button, IconButton } from "./button.tsx";

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Escape and the cross; `undefined`: must be ended by one of its buttons. */
  readonly onClose?: () => void;
  readonly wide?: boolean;
}

/** A window over the page, open for as long as it exists. */
export function Dialog({ title, children, onClose, wide }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const cancel = (event: Event) => {
    event.preventDefault();
    onClose?.();
  };
  return (
    <dialog ref={element} class={wide ? "dialog wide" : "dialog"} aria-labelledby={heading} onCancel={cancel}>
      <header class="dialog-head">
        <h2 id={heading}>{title}</h2>
        {onClose && <IconButton icon="close" label="Close" onClick={onClose} />}
      </header>
      {children}
    </dialog>
  );
}

/** The question that is waiting for an answer, if any. */
export function QuestionDialog() {
  const pending = useApp().questions.pending.value;
  if (!pending) return null;
  const { question, answer } = pending;
  return (
    <Dialog title={question.title} onClose={() => answer(false)}>
      <p class="dialog-text">{question.text}</p>
      <footer class="dialog-foot">
        <Button onClick={() => answer(false)}>Cancel</Button>
        <Button kind={question.danger ? "danger" : "primary"} onClick={() => answer(true)}>{question.confirm}</Button>
      </footer>
    </Dialog>
  );
}
