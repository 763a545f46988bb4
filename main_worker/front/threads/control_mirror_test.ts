import assert from "assert";
import fc from "fast-check";
import type { SchemaId } from "../../../shared/names.ts";
import type { Snapshot, Template } from "../../control/control.ts";
import { ControlMirror, difference } from "./control_mirror.ts";

const NOBODY = { workerRefused: () => {}, batchFloor: () => {} };

function snapshot(revision: number, templates: ReadonlyMap<SchemaId, Template>): Snapshot {
  return {
    routes: { epoch: revision, workers: new Map(), owners: ["none"], takenEpochs: [0] },
    credentials: {
      revision,
      adminKeyHash: null,
      apiKeys: [],
      sessionKeys: [new Uint8Array([revision])],
      clientTtlMs: 1,
    },
    schemas: { revision, templates },
    finished: new Map(),
  };
}

Deno.test("a mirror that is told the differences knows every snapshot", () => {
  const ids = ["a", "b", "c", "d"] as SchemaId[];
  const texts = fc.dictionary(fc.constantFrom(...ids), fc.constantFrom("1", "2", "3"));
  fc.assert(fc.property(fc.array(texts, { minLength: 1, maxLength: 12 }), (history) => {
    let before: Snapshot | undefined;
    let mirror: ControlMirror | undefined;
    const pool = new Map<string, Template>();
    history.forEach((schemas, revision) => {
      const templates = new Map(
        Object.entries(schemas).map(([id, hash]): [SchemaId, Template] => {
          // A template keeps its identity while it stays.
          const template = pool.get(id + hash) ?? { hash, text: new TextEncoder().encode(hash) };
          pool.set(id + hash, template);
          return [id as SchemaId, template];
        }),
      );
      const next = {
        ...snapshot(revision, templates),
        ...(revision % 2 === 1 && before ? { routes: before.routes } : {}),
      };
      const change = structuredClone(difference(before, next));
      if (mirror === undefined) mirror = new ControlMirror(change, NOBODY);
      else mirror.change(change);
      assert.deepEqual(mirror.snapshot(), next);
      before = next;
    });
  }));
});

Deno.test("what has not changed does not travel", () => {
  const templates = new Map([["a" as SchemaId, { hash: "1", text: new Uint8Array(1) }]]);
  const before = snapshot(1, templates);
  const finished = new Map([["session/dispatcher", 1]]);
  const next = { ...before, finished };
  assert.deepEqual(difference(before, next), { finished });
});
