/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** What stands where data is not: still loading, nothing there yet, or an error with the way out. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError, explain, isTemporary, mayPass } from "../api/errors.ts";
import { Button } from "./button.tsx";
import { Icon, type IconName } from "./icons.tsx";

/** Grey bars in the shape of what is coming. */
export function Skeleton({ lines = 3, label = "Loading" }: { lines?: number; label?: string }) {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, index) => <span key={index} class={`bar bar-${index % 4}`} />)}
    </div>
  );
}

interface EmptyProps {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** Nothing is there yet: what belongs here and how it gets here. */
export function Empty({ icon, title, children }: EmptyProps) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={26} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

const RETRY_MS = 2_000;

/** What went wrong and what to do. What passes by itself is tried again by itself. */
export function Problem({ error, retry }: { error: unknown; retry?: () => void }) {
  const goesOn = retry !== undefined && isTemporary(error);
  useEffect(() => {
    if (!goesOn) return;
    const timer = setTimeout(retry, RETRY_MS);
    return () => clearTimeout(timer);
  }, [error]);
  return (
    <div class="note danger" role="alert">
      <Icon name="warning" />
      <p>
        {explain(error)}
        {goesOn && error instanceof ApiError && " This page goes on by itself."}
      </p>
      {retry && mayPass(error) && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

interface NoteProps {
  readonly kind?: "info" | "warn" | "danger" | "ok";
  readonly children: ComponentChildren;
}

/** A sentence that stays on the page, with the picture of its weight. */
export function Note({ kind = "info", children }: NoteProps) {
  const icon = kind === "ok" ? "check" : kind === "info" ? "info" : "warning";
  return (
    <div class={`note ${kind}`}>
      <Icon name={icon} />
      <div class="note-body">{children}</div>
    </div>
  );
}
