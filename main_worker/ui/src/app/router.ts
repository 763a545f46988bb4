/// <reference lib="dom" />
/** The address bar: pages are paths, what is open on a page is in the query, so deep links and the back button work. */
import { type ReadonlySignal, signal } from "@preact/signals";

/** First segments of the paths. */
export const PAGES = ["overview", "documents", "schemas", "keys", "operations", "signin"] as const;
/** One of {@linkcode PAGES}. */
export type Page = typeof PAGES[number];

/** What the address bar says. */
export interface Route {
  /** `null`: the root, which leads to the first page that the credential may see. */
  readonly page: Page | null;
  readonly query: Readonly<Record<string, string>>;
}

/** The address of a page. Names travel in the query, because a path cannot carry every name (`.` would vanish). */
export function href(page: Page, query: Readonly<Record<string, string | undefined>> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) parameters.set(name, value);
  return parameters.size > 0 ? `/${page}?${parameters}` : `/${page}`;
}

/** The route that an address means. */
export function parseRoute(pathname: string, search: string): Route {
  const name = pathname.split("/")[1] ?? "";
  const page = PAGES.find((candidate) => candidate === name) ?? null;
  return { page, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Asked before the user leaves; `false` stays. */
type LeaveGuard = (to: Route) => Promise<boolean>;

/** The address bar, links and the back button. Once per tab: it listens to the window. */
export class Router {
  readonly #route = signal<Route>(parseRoute(location.pathname, location.search));
  readonly route: ReadonlySignal<Route> = this.#route;
  #guard: LeaveGuard | null = null;
  #shown = location.href;

  constructor() {
    addEventListener("popstate", () => this.#popped());
    document.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("beforeunload", (event) => {
      if (this.#guard) event.preventDefault();
    });
  }

  /** Goes to an address of the UI. `replace`: without a step for the back button. */
  async go(to: string, replace = false): Promise<boolean> {
    const url = new URL(to, location.origin);
    if (url.href === location.href) return true;
    if (!await this.#allowed(url)) return false;
    history[replace ? "replaceState" : "pushState"](null, "", url);
    this.#show();
    return true;
  }

  /** While set, leaving asks first. One at a time: whatever is being edited. */
  set guard(guard: LeaveGuard | null) {
    this.#guard = guard;
  }

  #show(): void {
    this.#shown = location.href;
    this.#route.value = parseRoute(location.pathname, location.search);
  }

  async #allowed(url: URL): Promise<boolean> {
    return this.#guard === null || await this.#guard(parseRoute(url.pathname, url.search));
  }

  async #popped(): Promise<void> {
    const target = location.href;
    if (this.#guard) {
      history.pushState(null, "", this.#shown);
      if (!await this.#allowed(new URL(target))) return;
      history.replaceState(null, "", target);
    }
    this.#show();
  }

  #clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.composedPath().find((target) => target instanceof HTMLAnchorElement);
    if (!link || link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
    if (parseRoute(link.pathname, "").page === null && link.pathname !== "/") return;
    event.preventDefault();
    this.go(link.href);
  }
}
