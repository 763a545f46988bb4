/** Who is signed in, and what that credential may do. The token lives in `sessionStorage` and nowhere else. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Login, Me, Permission } from "../api/types.ts";

interface Session {
  readonly token: string;
  readonly clientId: string;
  readonly permissions: readonly Permission[];
  /** Patterns of the schemas that the credential is confined to; `null`: all. */
  readonly schemas: readonly string[] | null;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

const STORAGE_KEY = "deltadb.session";

/** The session of this tab. */
export class SessionStore {
  readonly #session = signal<Session | null>(null);
  readonly #storage: Storage;
  readonly #lapsed = signal(false);
  /** Whether the server has refused the token: what is on the screen stays, until somebody signs in again. */
  readonly lapsed: ReadonlySignal<boolean> = computed(() => this.#lapsed.value);
  readonly current: ReadonlySignal<Session | null> = computed(() => this.#session.value);

  constructor(storage: Storage, nowMs: number) {
    this.#storage = storage;
    const stored = storage.getItem(STORAGE_KEY);
    if (stored === null) return;
    const session = parseSession(stored);
    if (session && session.expiresAtMs > nowMs) this.#session.value = session;
    else storage.removeItem(STORAGE_KEY);
  }

  /** Takes the answer of a login, and what the server says of the new session. */
  begin(login: Login, me: Me): void {
    const session: Session = {
      token: login.token,
      clientId: login.client_id,
      permissions: me.permissions,
      schemas: me.schemas ?? null,
      expiresAtMs: Date.parse(login.expires_at),
    };
    this.#storage.setItem(STORAGE_KEY, JSON.stringify(session));
    this.#lapsed.value = false;
    this.#session.value = session;
  }

  /** Forgets the token. */
  end(): void {
    this.#storage.removeItem(STORAGE_KEY);
    this.#lapsed.value = false;
    this.#session.value = null;
  }

  /** The server does not accept the token any more. */
  lapse(): void {
    this.#storage.removeItem(STORAGE_KEY);
    this.#lapsed.value = true;
  }

  /**
   * Whether the credential may do this. `admin` includes everything, but a credential that is confined to some schemas may
   * do nothing that concerns the whole server.
   */
  may(permission: Permission): boolean {
    const session = this.#session.value;
    if (!session) return false;
    if (permission === "admin") return session.permissions.includes("admin") && session.schemas === null;
    return session.permissions.includes(permission) || session.permissions.includes("admin");
  }
}

function parseSession(text: string): Session | null {
  try {
    const value = JSON.parse(text) as Partial<Session>;
    const whole = typeof value.token === "string" && typeof value.clientId === "string" &&
      Array.isArray(value.permissions) && typeof value.expiresAtMs === "number";
    return whole ? value as Session : null;
  } catch {
    return null;
  }
}
