/// <reference lib="dom" />
/** A real Chromium, and a watch over everything that a page says, asks for and shows. */
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const EXECUTABLE = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
const SHOTS = new URL("../.out/ui/", import.meta.url);

/** Whether this machine has the browser. */
export function hasChromium(): boolean {
  try {
    return Deno.statSync(EXECUTABLE).isFile;
  } catch {
    return false;
  }
}

export async function launch(): Promise<Browser> {
  return await chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
}

export interface TabOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

/** A tab that remembers what must not happen: errors, requests elsewhere, violations of the policy. */
export class Tab {
  readonly page: Page;
  readonly #context: BrowserContext;
  readonly #base: string;
  readonly #faults: string[] = [];
  /** Statuses that are part of what is tested just now; the browser logs them as errors. */
  readonly #expected = new Set<number>();
  #mayBeAway = false;

  private constructor(base: string, context: BrowserContext, page: Page) {
    this.#base = base;
    this.#context = context;
    this.page = page;
    page.on("console", (message) => {
      const status = Number(/status of (\d+)/.exec(message.text())?.[1] ?? 0);
      if (this.#expected.has(status)) return;
      if (this.#mayBeAway && message.text().includes("net::ERR_")) return;
      if (message.type() === "error" || message.type() === "warning") this.#faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.#faults.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.#faults.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== new URL(base).origin && protocol !== "blob:" && protocol !== "data:") {
        this.#faults.push(`request elsewhere: ${request.url()}`);
      }
    });
  }

  static async open(browser: Browser, base: string, options: TabOptions = {}): Promise<Tab> {
    const context = await browser.newContext({
      viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
      colorScheme: options.dark ? "dark" : "light",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    return new Tab(base, context, await context.newPage());
  }

  /** Another tab of the same browser profile, with a session of its own. */
  async go(path: string): Promise<void> {
    await this.page.goto(this.#base + path);
  }

  async signIn(key: string): Promise<void> {
    await this.go("/signin");
    await this.page.getByLabel("Admin key or API key").fill(key);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("navigation", { name: "Main" }).waitFor();
  }

  /** The text of the JSON editor with this label. */
  async editorText(label: string | RegExp): Promise<string> {
    const lines = await this.page.getByLabel(label).locator(".cm-line").allTextContents();
    return lines.join("\n");
  }

  /** Replaces the text of an editor as somebody at the keyboard would. */
  async typeInto(label: string | RegExp, text: string): Promise<void> {
    const editor = this.page.getByLabel(label);
    await editor.click();
    await this.page.keyboard.press("ControlOrMeta+a");
    await this.page.keyboard.insertText(text);
  }

  expectStatus(...statuses: number[]): void {
    for (const status of statuses) this.#expected.add(status);
  }

  /** Errors of the network are expected while `run` runs. */
  async whileServerIsAway(run: () => Promise<void>): Promise<void> {
    this.#mayBeAway = true;
    try {
      await run();
    } finally {
      this.#mayBeAway = false;
    }
  }

  /** What happened that must not. */
  faults(): readonly string[] {
    return this.#faults;
  }

  /** Violations of accessibility rules on the page as it is, one line each. */
  async axeViolations(): Promise<string[]> {
    await this.page.evaluate(axe.source);
    return await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
      interface AxeResults {
        violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[];
      }
      const { violations } = await axe.run();
      return violations.map(({ id, help, nodes }) =>
        `${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary ?? ""}`).join("\n")}`
      );
    });
  }

  /** Puts a picture of the page into `tests/.out/ui/`. */
  async shot(name: string): Promise<void> {
    await Deno.mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: new URL(`${name}.png`, SHOTS).pathname });
  }

  async close(): Promise<void> {
    await this.#context.close();
  }
}
