/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/** Switches between light and dark colours. */
import { useApp } from "../app/app.ts";
import { IconButton } from "./button.tsx";

/** Shows the colours that it leads to. */
export function ThemeButton() {
  const { theme } = useApp();
  const dark = theme.current.value === "dark";
  return (
    <IconButton
      icon={dark ? "sun" : "moon"}
      label={dark ? "Switch to light colours" : "Switch to dark colours"}
      onClick={() => theme.toggle()}
    />
  );
}
