import assert from "assert";
import type { Client } from "../api/client.ts";
import type { EntityPage } from "../api/types.ts";
import { KeyList } from "./key_list.ts";

interface Server {
  readonly client: Client;
  /** Queries, in order. */
  readonly asked: string[];
  keys: string[];
  fail: boolean;
}

function server(keys: string[]): Server {
  const state: Server = {
    asked: [],
    keys,
    fail: false,
    client: {
      json: (path: string) => {
        const query = new URL(path, "http://h").searchParams;
        state.asked.push(String(query));
        if (state.fail) return Promise.reject(new Error("down"));
        const prefix = query.get("prefix") ?? "";
        const list = state.keys.filter((key) => key.startsWith(prefix) && key > (query.get("cursor") ?? ""));
        const page = list.slice(0, Number(query.get("limit")));
        const answer: EntityPage = {
          keys: page.map((key) => ({ key, version: 1, size: 2, updated_at: null })),
          next_cursor: page.length < list.length ? page.at(-1)! : null,
        };
        return Promise.resolve(answer);
      },
    } as unknown as Client,
  };
  return state;
}

/** Resolves when the list has changed. */
function changed(list: KeyList): Promise<void> {
  const before = list.revision.value;
  return new Promise((resolve) => {
    const stop = list.revision.subscribe((revision) => {
      if (revision === before) return;
      queueMicrotask(() => stop());
      resolve();
    });
  });
}

const many = (count: number) => Array.from({ length: count }, (_, index) => `k${String(index).padStart(7, "0")}`);

Deno.test("pages arrive while the view moves, and not before", async () => {
  const { client, asked } = server(many(5_000));
  const list = new KeyList(client, "s", "");
  await changed(list);
  assert.equal(list.known, 100);
  assert.equal(asked.length, 1);
  list.visible(0, 20);
  await changed(list);
  assert.equal(list.known, 350);
  assert.equal(list.row(349)?.key, "k0000349");
  list.visible(0, 20);
  await changed(list);
  assert.equal(list.known, 600);
  list.visible(0, 20);
  assert.equal(asked.length, 3);
  list.close();
});

Deno.test("pages far from the view are forgotten and come back when they are looked at", async () => {
  const { client } = server(many(40_000));
  const list = new KeyList(client, "s", "");
  await changed(list);
  while (!list.complete) {
    list.visible(list.known - 10, list.known - 1);
    await changed(list);
  }
  assert.equal(list.known, 40_000);
  assert.equal(list.row(0), undefined);
  assert.equal(list.row(39_999)?.key, "k0039999");
  list.visible(0, 20);
  await changed(list);
  assert.equal(list.row(0)?.key, "k0000000");
  assert.equal(list.known, 40_000);
  list.close();
});

Deno.test("writes by others find their place", async () => {
  const { client } = server(["b", "d"]);
  const list = new KeyList(client, "s", "");
  await changed(list);
  list.apply("put", { key: "c", version: 1, etag: "x" });
  list.apply("put", { key: "a", version: 1, etag: "x" });
  list.apply("put", { key: "e", version: 1, etag: "x" });
  list.apply("put", { key: "d", version: 2, etag: "x" });
  list.apply("delete", { key: "b", version: 1, etag: "x" });
  list.apply("delete", { key: "gone", version: 1, etag: "x" });
  assert.deepEqual([0, 1, 2, 3].map((index) => list.row(index)?.key), ["a", "c", "d", "e"]);
  assert.equal(list.row(2)?.version, 2);
  assert.equal(list.indexOf("e"), 3);
  assert.equal(list.known, 4);
  list.close();
});

Deno.test("an empty list takes its first document", async () => {
  const { client } = server([]);
  const list = new KeyList(client, "s", "p");
  await changed(list);
  list.apply("put", { key: "other", version: 1, etag: "x" });
  assert.equal(list.known, 0);
  list.apply("put", { key: "p1", version: 1, etag: "x" });
  assert.equal(list.row(0)?.key, "p1");
  list.close();
});

Deno.test("a write beyond what is known waits for its page", async () => {
  const { client } = server(many(300));
  const list = new KeyList(client, "s", "");
  await changed(list);
  list.apply("put", { key: "k0000250x", version: 1, etag: "x" });
  assert.equal(list.known, 100);
  list.close();
});

Deno.test("a failure is told, and trying again goes on", async () => {
  const fake = server(many(3));
  fake.fail = true;
  const list = new KeyList(fake.client, "s", "");
  await changed(list);
  assert.equal(list.state.value, "failed");
  fake.fail = false;
  list.retry();
  await changed(list);
  assert.equal(list.state.value, "ready");
  assert.equal(list.known, 3);
  list.close();
});
