import assert from "assert";
import { CompletionContext } from "@codemirror/autocomplete";
import { json } from "@codemirror/lang-json";
import { EditorState } from "@codemirror/state";
import { schemaCompletion } from "./completion.ts";
import type { Json } from "./json_schema.ts";

const SCHEMA: Json = {
  type: "object",
  required: ["name"],
  properties: {
    name: { type: "string", description: "Full name" },
    plan: { enum: ["free", "team"] },
    on: { type: "boolean" },
    address: { $ref: "#/$defs/address" },
    roles: { type: "array", items: { enum: ["reader", "writer"] } },
  },
  $defs: { address: { type: "object", properties: { city: { type: "string" }, zip: { type: "string" } } } },
};

/** What is proposed at the `|` in a text. */
function proposals(marked: string): string[] {
  const pos = marked.indexOf("|");
  const state = EditorState.create({ doc: marked.replace("|", ""), extensions: [json()] });
  const result = schemaCompletion(() => SCHEMA)(new CompletionContext(state, pos, true));
  return result?.options.map(({ label }) => label) ?? [];
}

Deno.test("names that are not there yet are proposed", () => {
  assert.deepEqual(proposals("{|}"), ['"name"', '"plan"', '"on"', '"address"', '"roles"']);
  assert.deepEqual(proposals('{"name": "x", |}'), ['"plan"', '"on"', '"address"', '"roles"']);
  assert.deepEqual(proposals('{"name": "x", "p|"}'), ['"plan"', '"on"', '"address"', '"roles"']);
  assert.deepEqual(proposals('{"address": {|}}'), ['"city"', '"zip"']);
});

Deno.test("values are proposed where the schema names them", () => {
  assert.deepEqual(proposals('{"plan": |}'), ['"free"', '"team"']);
  assert.deepEqual(proposals('{"plan": "f|"}'), ['"free"', '"team"']);
  assert.deepEqual(proposals('{"on": t|}'), ["true", "false"]);
  assert.deepEqual(proposals('{"roles": [|]}'), ['"reader"', '"writer"']);
  assert.deepEqual(proposals('{"roles": ["reader", |]}'), ['"reader"', '"writer"']);
});

Deno.test("where the schema says nothing, nothing is proposed", () => {
  assert.deepEqual(proposals('{"name": |}'), []);
  assert.deepEqual(proposals('{"other": {|}}'), []);
  assert.deepEqual(proposals("|"), []);
});
