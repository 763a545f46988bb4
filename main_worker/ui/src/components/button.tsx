/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Buttons: with words, with a picture only, and one that copies. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Icon, type IconName } from "./icons.tsx";

interface ButtonProps {
  readonly children: ComponentChildren;
  readonly kind?: "primary" | "plain" | "ghost" | "danger";
  readonly icon?: IconName;
  readonly type?: "button" | "submit";
  /** Works on it: stays in place, cannot be pressed again. */
  readonly busy?: boolean;
  readonly disabled?: boolean;
  readonly title?: string;
  readonly autofocus?: boolean;
  readonly onClick?: () => void;
}

/** A button with words. */
export function Button({ children, kind = "plain", icon, type = "button", busy, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${kind}`}
      disabled={disabled || busy}
      aria-busy={busy ? "true" : undefined}
      {...rest}
    >
      {icon && <Icon name={icon} size={16} />}
      <span>{children}</span>
    </button>
  );
}

interface IconButtonProps {
  readonly icon: IconName;
  /** What it does, for the tooltip and for screen readers. */
  readonly label: string;
  readonly pressed?: boolean;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

/** A button with a picture only. */
export function IconButton({ icon, label, pressed, disabled, onClick }: IconButtonProps) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

/** Puts `text` on the clipboard and says so on itself. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!await copyText(text)) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return <Button icon={copied ? "check" : "copy"} onClick={copy}>{copied ? "Copied" : label}</Button>;
}

/** Whether the text is on the clipboard now. Without a secure context the old command has to do. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    const host = document.querySelector("dialog[open]") ?? document.body;
    host.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
