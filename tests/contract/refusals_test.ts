/** Requests that are to be refused, whose refusals have to travel between the programs: each is told, and nobody else waits for it. */
import assert from "assert";
import { VIOLATIONS_CHARS_MAX, VIOLATIONS_MAX } from "../../shared/limits.ts";
import { ADMIN_KEY, Cluster } from "../system/cluster.ts";

const HALF = "\\ud800";

Deno.test("refusals are told, whatever they quote, and however many there are", async (t) => {
  await using cluster = await Cluster.start();

  async function request(method: string, path: string, body: string, headers: Record<string, string> = {}) {
    const response = await fetch(cluster.url + path, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers },
      body,
    });
    const text = await response.text();
    return { status: response.status, text, json: () => JSON.parse(text) };
  }

  async function schema(id: string, value: string): Promise<void> {
    const { status, text } = await request("PUT", `/schema/${id}`, value);
    assert(status === 200 || status === 201, text);
  }

  await t.step("halves of surrogate pairs in documents and schemas", async () => {
    await schema("numbers", '{"additionalProperties":{"type":"integer"}}');
    await schema("required", `{"required":["${HALF}"]}`);
    await schema("pattern", `{"properties":{"p":{"pattern":"^${"x".repeat(2_000)}$"}}}`);
    const patch = { "content-type": "application/merge-patch+json" };
    assert.equal((await request("PUT", "/entity/numbers?key=there", "{}")).status, 200);
    for (
      const [method, path, body, headers] of [
        ["PUT", "/entity/numbers?key=k", `{"${HALF}":"x"}`],
        ["PUT", "/entity/numbers", `{"a":{"${HALF}":"x"},"b":{}}`],
        ["PATCH", "/entity/numbers?key=there", `{"${HALF}":"x"}`, patch],
        ["PUT", "/entity/required?key=k", "{}"],
        ["PUT", "/entity/pattern?key=k", '{"p":"y"}'],
      ] as const
    ) {
      const answer = await request(method, path, body, headers);
      assert.equal(answer.status, 400, answer.text);
      assert.equal(answer.json().code, "schema_violation");
      assert.equal(answer.json().details.length, 1);
    }
  });

  await t.step("entity tags that none of ours can be", async () => {
    assert.equal((await request("PUT", "/entity/tags?key=k", "{}")).status, 200);
    const tags = ["a".repeat(65), "ÿ".repeat(40), "a".repeat(1_000)];
    for (const tag of tags) {
      for (const [method, type] of [["PUT", "application/json"], ["PATCH", "application/merge-patch+json"]] as const) {
        const answer = await request(method, "/entity/tags?key=k", "{}", {
          "if-match": `"${tag}"`,
          "content-type": type,
        });
        assert.equal(answer.status, 412, answer.text);
      }
    }
  });

  await t.step("thousands of violations in one request, and a neighbour beside it", async () => {
    const names = Array.from({ length: 100 }, (_, i) => `n${i}${"x".repeat(900)}`);
    await schema("long", JSON.stringify({ items: { required: names } }));
    await schema("short", '{"items":{"type":"integer"}}');
    const documents = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, Array(10).fill({})]));
    const [many, neighbour] = await Promise.all([
      request("PUT", "/entity/long", JSON.stringify(documents)),
      request("PUT", "/entity/short?key=k", JSON.stringify(Array(500).fill(""))),
    ]);
    assert.equal(many.status, 400, many.text.slice(0, 300));
    const { details } = many.json();
    assert(details.length > 0 && details.length <= VIOLATIONS_MAX);
    assert(many.text.length < 2 * VIOLATIONS_CHARS_MAX);
    assert.equal(neighbour.status, 400);
    assert(neighbour.json().details.length > 0);
  });

  assert.doesNotMatch(cluster.output, /batch_failed|heartbeat_failed/);
});
