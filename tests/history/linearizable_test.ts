import assert from "assert";
import { type Call, History, type Told } from "./history.ts";
import { check } from "./linearizable.ts";

/** Operations one after the other. */
function sequence(...steps: [Call, Told][]): History {
  const history = new History();
  for (const [call, told] of steps) history.call(0, "k", call)(told);
  return history;
}

const put = (value: string): Call => ({ kind: "put", value });
const stored = (version: number): Told => ({ kind: "stored", version, etag: `${version}-a` });
const found = (value: string, version: number): Told => ({ kind: "found", value, version, etag: `${version}-a` });

Deno.test("check: what a register does is linearizable", () => {
  const history = sequence(
    [{ kind: "get" }, { kind: "absent" }],
    [put("{}"), stored(1)],
    [{ kind: "get" }, found("{}", 1)],
    [{ kind: "put", value: '{"a":"1"}', ifMatch: "1-a" }, stored(2)],
    [{ kind: "put", value: "{}", ifMatch: "1-a" }, { kind: "mismatch" }],
    [{ kind: "patch", field: "b", value: "2" }, stored(3)],
    [{ kind: "get" }, found('{"a":"1","b":"2"}', 3)],
    [{ kind: "delete" }, { kind: "deleted", existed: true }],
    [{ kind: "get" }, { kind: "absent" }],
  );
  assert.equal(check(history.operations).kind, "linearizable");
});

Deno.test("check: a stale read, a lost write, a repeated write and a skipped condition are violations", () => {
  const violations: [Call, Told][][] = [
    [[put("{}"), stored(1)], [put('{"a":"1"}'), stored(2)], [{ kind: "get" }, found("{}", 1)]],
    [[put("{}"), stored(1)], [{ kind: "get" }, { kind: "absent" }]],
    [[put("{}"), stored(1)], [put("{}"), stored(3)]],
    [[put("{}"), stored(1)], [put("{}"), stored(2)], [{ kind: "put", value: "{}", ifMatch: "1-a" }, stored(3)]],
    [[put("{}"), stored(1)], [{ kind: "put", value: "{}", ifAbsent: true }, stored(2)]],
  ];
  for (const steps of violations) assert.equal(check(sequence(...steps).operations).kind, "violation");
});

Deno.test("check: a write with an unknown outcome may have happened, may happen late, may never happen", () => {
  const unknown: Told = { kind: "unknown" };
  const histories: [Call, Told][][] = [
    [[put("{}"), unknown], [{ kind: "get" }, { kind: "absent" }]],
    [[put("{}"), unknown], [{ kind: "get" }, found("{}", 1)]],
    [[put("{}"), unknown], [{ kind: "get" }, { kind: "absent" }], [{ kind: "get" }, found("{}", 1)]],
  ];
  for (const steps of histories) assert.equal(check(sequence(...steps).operations).kind, "linearizable");
  const undone = sequence(
    [put("{}"), unknown],
    [{ kind: "get" }, found("{}", 1)],
    [{ kind: "get" }, { kind: "absent" }],
  );
  assert.equal(check(undone.operations).kind, "violation");
  const twice = sequence(
    [put('{"a":"1"}'), unknown],
    [{ kind: "get" }, found('{"a":"1"}', 1)],
    [put("{}"), stored(2)],
    [{ kind: "get" }, found('{"a":"1"}', 3)],
  );
  assert.equal(check(twice.operations).kind, "violation");
});

Deno.test("check: concurrent writes may take effect in either order", () => {
  const history = new History();
  const first = history.call(0, "k", put('{"a":"1"}'));
  const second = history.call(1, "k", put('{"b":"1"}'));
  first(stored(2));
  second(stored(1));
  history.call(2, "k", { kind: "get" })(found('{"a":"1"}', 2));
  assert.equal(check(history.operations).kind, "linearizable");
});
