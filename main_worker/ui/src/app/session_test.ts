import assert from "assert";
import { SessionStore } from "./session.ts";

const NOW = Date.UTC(2026, 0, 31);

/** A `Storage` in memory. */
function memory(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
    removeItem: (name: string) => void items.delete(name),
    get length() {
      return items.size;
    },
  } as Storage;
}

const login = (permissions: ("read" | "write" | "admin")[]) => ({
  token: "t",
  client_id: "c",
  expires_at: new Date(NOW + 1_000).toISOString(),
  permissions,
});
const me = (permissions: ("read" | "write" | "admin")[], schemas: string[] | null = null) => ({
  client_id: "c",
  permissions,
  is_admin: permissions.includes("admin"),
  schemas,
});

Deno.test("a session survives a reload until it expires", () => {
  const storage = memory();
  new SessionStore(storage, NOW).begin(login(["read"]), me(["read"]));
  assert.equal(new SessionStore(storage, NOW).current.value?.token, "t");
  assert.equal(new SessionStore(storage, NOW + 2_000).current.value, null);
  assert.equal(storage.length, 0);
});

Deno.test("what a credential may do", () => {
  const session = new SessionStore(memory(), NOW);
  assert(!session.may("read"));
  session.begin(login(["read"]), me(["read"]));
  assert(session.may("read") && !session.may("write") && !session.may("admin"));
  session.begin(login(["admin"]), me(["admin"]));
  assert(session.may("read") && session.may("write") && session.may("admin"));
  session.begin(login(["admin"]), me(["admin"], ["chat*"]));
  assert(session.may("write") && !session.may("admin"), "a confined credential administers nothing");
});

Deno.test("a lapsed session stays on the screen and not in the storage", () => {
  const storage = memory();
  const session = new SessionStore(storage, NOW);
  session.begin(login(["read"]), me(["read"]));
  session.lapse();
  assert(session.lapsed.value && session.current.value !== null);
  assert.equal(storage.length, 0);
  session.end();
  assert(!session.lapsed.value && session.current.value === null);
});

Deno.test("what is not a session of ours is thrown away", () => {
  for (const text of ["", "{", "null", "7", '{"token":1}', '{"token":"t","clientId":"c","permissions":[]}']) {
    const storage = memory();
    storage.setItem("deltadb.session", text);
    assert.equal(new SessionStore(storage, NOW).current.value, null);
    assert.equal(storage.length, 0);
  }
});
