/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** Starts the management UI. */
import { render } from "preact";
import { AppProvider, createApp } from "./app/app.ts";
import { Shell } from "./app/shell.tsx";

render(
  <AppProvider value={createApp()}>
    <Shell />
  </AppProvider>,
  document.getElementById("app")!,
);
