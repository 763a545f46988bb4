/** @jsxRuntime automatic */
/** @jsxImportSource preact */
/// <reference lib="dom" />
/** The frame around every page: navigation, the state of the connection, banners, toasts. */
import { useEffect, useRef } from "preact/hooks";
import type { Permission } from "../api/types.ts";
import { QuestionDialog } from "../components/dialog.tsx";
import { IconButton } from "../components/button.tsx";
import { Icon, type IconName } from "../components/icons.tsx";
import { ErrorBoundary } from "../components/error_boundary.tsx";
import { Logo } from "../components/logo.tsx";
import { ThemeButton } from "../components/theme_button.tsx";
import { Toaster } from "../components/toaster.tsx";
import { span } from "../format/time.ts";
import { SignInAgain } from "../signin/signin_again.tsx";
import { SignInPage } from "../signin/signin_page.tsx";
import { type App, useApp } from "./app.ts";
import { lazyPage } from "./lazy_page.tsx";
import { href, type Page } from "./router.ts";

interface Place {
  readonly page: Page;
  readonly title: string;
  readonly icon: IconName;
  readonly needs: Permission;
}

const PLACES: readonly Place[] = [
  { page: "overview", title: "Overview", icon: "overview", needs: "admin" },
  { page: "documents", title: "Documents", icon: "documents", needs: "read" },
  { page: "schemas", title: "Schemas", icon: "schemas", needs: "read" },
  { page: "keys", title: "Keys", icon: "keys", needs: "admin" },
  { page: "operations", title: "Operations", icon: "operations", needs: "admin" },
];

const COMPONENTS = {
  overview: lazyPage(() => import("../overview/overview_page.tsx").then((module) => module.OverviewPage)),
  documents: lazyPage(() => import("../documents/documents_page.tsx").then((module) => module.DocumentsPage)),
  schemas: lazyPage(() => import("../schemas/schemas_page.tsx").then((module) => module.SchemasPage)),
  keys: lazyPage(() => import("../keys/keys_page.tsx").then((module) => module.KeysPage)),
  operations: lazyPage(() => import("../operations/operations_page.tsx").then((module) => module.OperationsPage)),
} as const;

/** Pages that this credential may use. */
function places(app: App): readonly Place[] {
  return PLACES.filter(({ needs }) => app.session.may(needs));
}

/** The window: the sign-in page, or the frame with the page that the address names. */
export function Shell() {
  const app = useApp();
  const { page, query } = app.router.route.value;
  const signedIn = app.session.current.value !== null;
  const allowed = places(app);
  const place = allowed.find((candidate) => candidate.page === page);

  useEffect(() => {
    document.title = place ? `${place.title} · DeltaDatabase` : "DeltaDatabase";
    if (!signedIn && page !== "signin") {
      const here = location.pathname + location.search;
      app.router.go(href("signin", { next: here === "/" ? undefined : here }), true);
    } else if (signedIn && !place) {
      const next = page === "signin" ? query.next : undefined;
      const first = allowed[0]?.page ?? "documents";
      app.router.go(next?.startsWith("/") && !next.startsWith("//") ? next : href(first), true);
    }
  }, [signedIn, page, place, query]);

  return (
    <>
      {signedIn && place ? <Frame places={allowed} place={place} /> : !signedIn && page === "signin" && <SignInPage />}
      <QuestionDialog />
      {signedIn && <SignInAgain />}
      <Toaster />
    </>
  );
}

function Frame({ places, place }: { places: readonly Place[]; place: Place }) {
  const app = useApp();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [place.page]);
  const Content = COMPONENTS[place.page as keyof typeof COMPONENTS];
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={() => main.current?.focus()}>Skip to the content</a>
      <header class="side">
        <a class="brand" href="/" aria-label="DeltaDatabase, start page">
          <Logo />
          <span>DeltaDatabase</span>
        </a>
        <nav class="nav" aria-label="Main">
          {places.map(({ page, title, icon }) => (
            <a key={page} href={href(page)} class="nav-link" aria-current={page === place.page ? "page" : undefined}>
              <Icon name={icon} />
              <span>{title}</span>
            </a>
          ))}
        </nav>
        <div class="side-foot">
          <ConnectionState />
          <p class="who" title={app.session.current.value?.permissions.join(", ")}>
            Signed in as <b>{app.session.current.value?.clientId}</b>
          </p>
          <div class="side-buttons">
            <ThemeButton />
            <SignOutButton />
          </div>
        </div>
      </header>
      <div class="content">
        {app.devMode.value && <DevBanner admin={app.session.may("admin")} />}
        <LostBanner />
        <main id="main" ref={main} tabIndex={-1} aria-label={place.title}>
          <ErrorBoundary key={place.page}>
            <Content />
          </ErrorBoundary>
        </main>
      </div>
    </div>
  );
}

function SignOutButton() {
  const { session, router } = useApp();
  return (
    <IconButton
      icon="leave"
      label="Sign out"
      onClick={async () => {
        if (await router.go(href("signin"))) session.end();
      }}
    />
  );
}

function ConnectionState() {
  const online = useApp().connection.online.value;
  return <p class={online ? "connection" : "connection lost"} role="status">{online ? "Connected" : "Reconnecting"}</p>;
}

function DevBanner({ admin }: { admin: boolean }) {
  return (
    <section class="banner warn" aria-label="Dev mode">
      <Icon name="warning" />
      <p>
        <b>Dev mode.</b> No admin key is set, so everybody who reaches this address can read and write everything. Set
        {" "}
        <code>ADMIN_KEY</code> before you store anything real
        {admin ? "." : "; the overview, keys and operations open with it."}
      </p>
    </section>
  );
}

function LostBanner() {
  const { connection, nowMs } = useApp();
  const since = connection.lostAtMs.value;
  if (since === null) return null;
  return (
    <section class="banner danger" aria-label="Connection" aria-live="assertive">
      <Icon name="warning" />
      <p>
        <b>The server does not answer.</b> It is tried again by itself; what you see is{"  "}
        {span(Math.max(1_000, nowMs.value - since))} old. Your edits stay here.
      </p>
    </section>
  );
}
