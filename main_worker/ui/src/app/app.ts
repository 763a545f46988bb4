/// <reference lib="dom" />
/** The parts that every page uses, built once and handed down through one context. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { type ReadonlySignal, signal } from "@preact/signals";
import { type Client, createClient } from "../api/client.ts";
import { ApiError, explain } from "../api/errors.ts";
import type { Facts } from "../api/types.ts";
import { Connection } from "./connection.ts";
import { Questions } from "./questions.ts";
import { Router } from "./router.ts";
import { SchemaDirectory } from "./schemas.ts";
import { SessionStore } from "./session.ts";
import { Theme } from "./theme.ts";
import { Toasts } from "./toasts.ts";

/** The parts of the running UI. */
export interface App {
  readonly client: Client;
  /** Sends no credential of its own. */
  readonly anonymous: Client;
  readonly connection: Connection;
  readonly questions: Questions;
  readonly router: Router;
  readonly schemas: SchemaDirectory;
  readonly session: SessionStore;
  readonly theme: Theme;
  readonly toasts: Toasts;
  /** `null` until the server has said. */
  readonly devMode: ReadonlySignal<boolean | null>;
  /** Milliseconds since the epoch, moving once a second: for "5 s ago". */
  readonly nowMs: ReadonlySignal<number>;
  /** Tells the user that something failed and what to do. */
  report(error: unknown): void;
}

/** Whether anybody may sign in without a key; the schema list is public in dev mode only. */
async function askDevMode(client: Client): Promise<boolean> {
  try {
    return (await client.json<Facts>("/ui/facts.json")).dev_mode;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
  try {
    await client.json("/admin/schemas");
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

/** Builds the parts. Once per tab: they listen to the window. */
export function createApp(): App {
  const connection = new Connection();
  const router = new Router();
  const session = new SessionStore(sessionStorage, Date.now());
  const toasts = new Toasts();
  const devMode = signal<boolean | null>(null);
  const nowMs = signal(Date.now());
  const events = {
    reached: () => connection.reached(),
    lost: () => connection.lost(),
    refused: () => session.lapse(),
  };
  const client = createClient(() => session.current.value?.token ?? null, events);
  const anonymous = createClient(() => null, { ...events, refused: () => undefined });
  const learn = () => {
    askDevMode(anonymous).then((value) => devMode.value = value, () => undefined);
  };
  learn();
  connection.generation.subscribe((generation) => {
    if (generation > 0) learn();
  });
  setInterval(() => {
    if (!document.hidden) nowMs.value = Date.now();
  }, 1_000);
  return {
    client,
    anonymous,
    connection,
    questions: new Questions(),
    router,
    schemas: new SchemaDirectory(client),
    session,
    theme: new Theme(),
    toasts,
    devMode,
    nowMs,
    report: (error) => {
      if (error instanceof DOMException && error.name === "AbortError") return;
      toasts.show("failed", explain(error));
    },
  };
}

const AppContext = createContext<App | null>(null);
/** Hands the parts to the components inside. */
export const AppProvider = AppContext.Provider;

/** The parts, inside a component. */
export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error("no app around this component");
  return app;
}
