import assert from "assert";
import { HEARTBEAT_MS, HEARTBEATS_MISSED_MAX, WORKERS_MAX } from "../../shared/limits.ts";
import { recordingLogger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import type { HeartbeatRequest, SubscribeRequest } from "../../shared/wire/messages.ts";
import { TransportError } from "../../shared/wire/transport.ts";
import { dialAddress, Registry, type RegistryParts } from "./registry.ts";

const TTL_MS = 60_000;
const NEVER = new AbortController().signal;

function start(more: Partial<RegistryParts> = {}) {
  const clock = new ManualClock();
  const log = recordingLogger();
  const state = { changes: 0, counted: [] as string[] };
  const count = (what: string) => void state.counted.push(what);
  const registry = new Registry({
    clock,
    random: systemRandom,
    log,
    metrics: {
      workerJoined: (result) => count(`join ${result}`),
      workerGone: (reason) => count(`gone ${reason}`),
      workerTokenIssued: () => count("token"),
      partitionsMoved: (partitions) => count(`moved ${partitions}`),
    },
    storeId: "store",
    partitions: 4,
    term: 3,
    workerTtlMs: TTL_MS,
    documentBytesMax: 1_024,
    keyId: "k1",
    verifyJoin: () => ({ ok: true }),
    probe: () => Promise.resolve(undefined),
    wrapKeys: () => Promise.resolve({ kind: "wrapped", keys: [] }),
    locked: true,
    changed: () => state.changes += 1,
    ...more,
  });
  return { clock, log, registry, state };
}

function subscription(workerId: string, session: string, more: Partial<SubscribeRequest> = {}): SubscribeRequest {
  return {
    workerId,
    session,
    publicKey: new Uint8Array(1),
    tags: { grpc_addr: "127.0.0.1:1" },
    timestampMs: 0,
    proof: new Uint8Array(32),
    storeId: "store",
    partitions: 4,
    owned: [],
    ...more,
  };
}

/** A worker's side: joins, and reports what it was assigned as served. */
class Member {
  seq = 0;
  token = "";
  epoch = 0;
  assigned: HeartbeatRequest["owned"] = [];

  constructor(readonly registry: Registry, readonly id: string, readonly session = `session of ${id}`) {}

  async join(more: Partial<SubscribeRequest> = {}): Promise<this> {
    const response = await this.registry.subscribe(subscription(this.id, this.session, more), "127.0.0.1");
    this.token = response.token;
    return this;
  }

  request(more: Partial<HeartbeatRequest> = {}): HeartbeatRequest {
    return {
      workerId: this.id,
      session: this.session,
      token: this.token,
      seq: ++this.seq,
      owned: this.assigned,
      releasing: [],
      failing: [],
      finished: [],
      epoch: this.epoch,
      leaving: false,
      activeRequests: 0,
      cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 },
      immediate: true,
      ...more,
    };
  }

  async beat(more: Partial<HeartbeatRequest> = {}, gone = NEVER) {
    const response = await this.registry.heartbeat(this.request(more), gone);
    this.epoch = response.epoch;
    this.assigned = response.assigned;
    if (response.token !== undefined) this.token = response.token;
    return response;
  }

  /** Hears of its assignment, takes it, and says so. */
  async serve(): Promise<void> {
    await this.beat();
    await this.beat();
  }
}

function partitions(registry: Registry, id: string): readonly Partition[] {
  return registry.workers().find(({ workerId }) => workerId === id)!.partitions;
}

const refusal = (reason: string) => (error: unknown) => error instanceof TransportError && error.reason === reason;

Deno.test("registry: one worker gets everything, a second one half", async () => {
  const { registry } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  assert.deepEqual(partitions(registry, "a"), [0, 1, 2, 3]);
  const b = await new Member(registry, "b").join();
  assert.deepEqual((await b.beat()).assigned, [], "before the first has let go");
  await a.serve();
  await b.serve();
  assert.equal(partitions(registry, "a").length, 2);
  assert.equal(partitions(registry, "b").length, 2);
  assert(registry.routes().epoch > 3 * 2 ** 32);
  registry.close();
});

Deno.test("registry: a waiting heartbeat is answered at once when there is news, and else after its time", async () => {
  const { registry, clock } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  let answered = 0;
  const waiting = a.beat({ immediate: false }).then(() => answered += 1);
  await clock.advance(0);
  assert.equal(answered, 0);
  await new Member(registry, "b").join();
  await waiting;
  assert.equal(a.assigned.length, 2, "the news is that it owns less");

  await a.serve();
  const quiet = a.beat({ immediate: false }).then(() => answered += 1);
  await clock.advance(1_999);
  assert.equal(answered, 1);
  await clock.advance(1);
  await quiet;

  const floor = a.beat({ immediate: false });
  await clock.advance(0);
  registry.batchFloor(a.session, "d", 7);
  assert.deepEqual((await floor).floors, [{ dispatcher: "d", floor: 7 }]);
  registry.close();
});

Deno.test("registry: a report that was overtaken is not believed", async () => {
  const { registry } = start();
  const a = await new Member(registry, "a").join();
  await a.beat();
  const old = a.request({ owned: [] });
  await a.beat();
  assert.equal(partitions(registry, "a").length, 4);
  await registry.heartbeat(a.request({ finished: [{ dispatcher: "d", floor: 5 }] }), NEVER);
  await registry.heartbeat({ ...old, finished: [{ dispatcher: "d", floor: 9 }] }, NEVER);
  assert.equal(registry.finished().get(`${a.session}/d`), 5);
  assert.equal(partitions(registry, "a").length, 4);
  registry.close();
});

Deno.test("registry: three missed heartbeats end a membership; standing still itself does not", async () => {
  const { registry, clock, log } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  // This process stood still: nobody's heartbeats could come in.
  clock.freeze(30_000);
  await clock.advance(1_000);
  assert.equal(registry.routes().workers.size, 1);
  await a.beat().catch(() => assert.fail("it is not a member any more"));
  await clock.advance(5_400);
  assert.equal(registry.routes().workers.size, 1);
  await clock.advance(61_100);
  assert.equal(registry.routes().workers.size, 0);
  assert.equal(log.of("worker_gone")[0]!.fields.reason, "heartbeats missed");
  assert.deepEqual(registry.routes().owners, ["none", "none", "none", "none"]);
  await assert.rejects(a.beat(), refusal("denied"));
  assert.equal(registry.workers()[0]!.status, "Unavailable");
  registry.close();
});

Deno.test("registry: standing still makes no worker live longer that was heard of since and then died", async () => {
  const { registry, clock } = start();
  const a = await new Member(registry, "a").join();
  clock.freeze(30_000);
  await a.beat();
  await clock.advance(0);
  // It is killed now, and started again.
  await clock.advance(HEARTBEAT_MS * HEARTBEATS_MISSED_MAX + 1_000);
  assert.equal(registry.routes().workers.size, 0);
  await new Member(registry, "a", "another start").join();
  registry.close();
});

Deno.test("registry: a lost connection ends a membership soon, unless the worker calls again", async () => {
  const { registry, clock } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  const lose = async () => {
    const gone = new AbortController();
    const waiting = a.beat({ immediate: false }, gone.signal);
    await clock.advance(0);
    gone.abort();
    await waiting;
  };
  await lose();
  await clock.advance(200);
  await a.beat();
  await clock.advance(200);
  assert.equal(registry.routes().workers.size, 1);
  await lose();
  await clock.advance(400);
  assert.equal(registry.routes().workers.size, 0);
  registry.close();
});

Deno.test("registry: without locks a lost connection alone ends nothing, but the id is free at once", async () => {
  const { registry, clock } = start({ locked: false });
  const a = await new Member(registry, "a").join();
  await a.serve();
  const gone = new AbortController();
  const waiting = a.beat({ immediate: false }, gone.signal);
  await clock.advance(0);
  gone.abort();
  await waiting;
  await clock.advance(1_000);
  assert.equal(registry.routes().workers.size, 1);
  const again = await new Member(registry, "a", "another start").join();
  await again.serve();
  assert.equal(partitions(registry, "a").length, 4);
  registry.close();
});

Deno.test("registry: an id belongs to one live worker, also when two ask at the same moment", async () => {
  const { registry } = start();
  const results = await Promise.allSettled([
    new Member(registry, "a", "one").join(),
    new Member(registry, "a", "two").join(),
  ]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const rejected = results.find((result) => result.status === "rejected") as PromiseRejectedResult;
  assert(refusal("busy")(rejected.reason));
  assert.match(rejected.reason.message, /"a" is taken by a live worker at 127.0.0.1:1/);
  assert.equal(registry.routes().workers.size, 1);
  registry.close();
});

Deno.test("registry: no proof, another store, too many: refused, with an audit line and no key", async () => {
  let wraps = 0;
  const { registry, log } = start({
    verifyJoin: ({ workerId }) => workerId === "thief" ? { ok: false, reason: "the proof is wrong" } : { ok: true },
    wrapKeys: () => Promise.resolve({ kind: "wrapped", keys: (wraps++, []) }),
  });
  await assert.rejects(new Member(registry, "thief").join(), refusal("denied"));
  await assert.rejects(new Member(registry, "b").join({ storeId: "another" }), refusal("denied"));
  await assert.rejects(new Member(registry, "b").join({ partitions: 8 }), refusal("denied"));
  assert.equal(wraps, 0);
  assert.equal(log.of("join_refused").length, 3);
  for (let n = 0; n < 64; n++) await new Member(registry, `w${n}`).join();
  await assert.rejects(new Member(registry, "one-more").join(), refusal("busy"));
  registry.close();
});

Deno.test("registry: a token is renewed before it ends; the old one is good until the new one was seen", async () => {
  const { registry, clock } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  const first = a.token;
  const route = () => registry.routes().workers.get(a.session)!.token;
  assert.equal(route(), first);
  for (let n = 0; n < 22; n++) {
    await clock.advance(1_900);
    if (a.token === first) await a.beat();
  }
  assert.notEqual(a.token, first);
  assert.equal(route(), first, "the worker may not have got the answer yet");
  const second = a.token;
  // The answer was lost: the worker still shows the old one, and is told the new one again.
  a.token = first;
  assert.equal((await registry.heartbeat(a.request(), NEVER)).token, second);
  a.token = second;
  await a.beat();
  assert.equal(route(), second);
  registry.close();
});

Deno.test("registry: a worker that leaves gets nothing more, and its partitions go as it gives them up", async () => {
  const { registry } = start();
  const a = await new Member(registry, "a").join();
  const b = await new Member(registry, "b").join();
  await a.serve();
  await b.serve();
  await a.serve();
  await b.serve();
  const answer = await a.beat({ leaving: true });
  assert.deepEqual(answer.assigned, []);
  await a.beat({ leaving: true });
  await b.serve();
  assert.equal(partitions(registry, "b").length, 4);
  await registry.unsubscribe({ workerId: "a", session: a.session, token: a.token });
  assert.deepEqual([...registry.routes().workers.values()].map(({ workerId }) => workerId), ["b"]);
  registry.close();
});

Deno.test("registry: a worker that comes back after a restart of the main worker keeps what it holds", async () => {
  const { registry } = start();
  const a = await new Member(registry, "a").join({ owned: [0, 1, 2, 3] as Partition[] });
  await a.serve();
  assert.equal(partitions(registry, "a").length, 4);
  assert(registry.routes().takenEpochs.every((epoch) => epoch > 3 * 2 ** 32));
  registry.close();
});

Deno.test("registry: partitions beyond the store's number in a report are ignored", async () => {
  const { registry } = start();
  const a = await new Member(registry, "a").join({ owned: [99] as unknown as Partition[] });
  const wrong = [{ partition: 99 as Partition, epoch: 1 }];
  await a.beat({
    owned: wrong,
    releasing: [98 as Partition],
    failing: [{ partition: 97 as Partition, reason: "held", detail: "" }],
  });
  assert.deepEqual(registry.unserved().map(({ partition }) => partition), [0, 1, 2, 3]);
  registry.close();
});

Deno.test("registry: whoever shows another's token, a wrong one, or one that has ended is no member", async () => {
  const { registry, clock } = start();
  const [a, b] = [await new Member(registry, "a").join(), await new Member(registry, "b").join()];
  await a.serve();
  await b.serve();
  const wrong: Partial<HeartbeatRequest>[] = [
    { token: b.token },
    { token: "" },
    { token: "0".repeat(64) },
    { session: b.session },
    { session: "of nobody" },
    { workerId: "b" },
    { workerId: "c" },
  ];
  for (const part of wrong) {
    const { workerId, session, token } = a.request(part);
    await assert.rejects(
      registry.heartbeat(a.request({ ...part, owned: [], leaving: true }), NEVER),
      refusal("denied"),
    );
    assert.throws(() => registry.unsubscribe({ workerId, session, token }), refusal("denied"));
  }
  assert.equal(registry.routes().workers.size, 2);
  assert.deepEqual(registry.workers().map(({ status }) => status), ["Available", "Available"]);
  // It beats with the token that it has, and takes no new one.
  for (let passed = 0; passed < TTL_MS; passed += 2_000) {
    await registry.heartbeat(a.request(), NEVER);
    await clock.advance(2_000);
  }
  await assert.rejects(registry.heartbeat(a.request(), NEVER), refusal("denied"));
  registry.close();
});

Deno.test("registry: where the keys cannot be wrapped, nobody joins", async () => {
  const { registry, log, state } = start({
    wrapKeys: () => Promise.resolve({ kind: "refused", reason: "the public key is none" }),
  });
  await assert.rejects(new Member(registry, "a").join(), refusal("denied"));
  assert.equal(registry.routes().workers.size, 0);
  assert.match(String(log.of("join_refused")[0]!.fields.reason), /the public key is none/);
  assert.deepEqual(state.counted, ["join refused"]);
  registry.close();
});

Deno.test("registry: a worker whose address refuses is out at once, and others get what it had", async () => {
  const { registry, state } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  const b = await new Member(registry, "b").join();
  registry.refused("of nobody");
  assert.equal(registry.routes().workers.size, 2);
  registry.refused(a.session);
  registry.refused(a.session);
  assert.deepEqual([...registry.routes().workers.keys()], [b.session]);
  await b.serve();
  assert.deepEqual(partitions(registry, "b"), [0, 1, 2, 3]);
  assert.deepEqual(registry.workers().map(({ workerId, status }) => `${workerId} ${status}`), [
    "a Unavailable",
    "b Available",
  ]);
  await assert.rejects(a.beat(), refusal("denied"));
  assert.deepEqual(state.counted.filter((what) => what.startsWith("gone")), ["gone refused"]);
  registry.close();
});

Deno.test("registry: partitions move when their worker's connection is lost, when it leaves, and when it is missed", async () => {
  for (const way of ["lost", "leaves", "missed"] as const) {
    const { registry, clock, state } = start();
    const a = await new Member(registry, "a").join();
    await a.serve();
    const b = await new Member(registry, "b").join();
    await a.serve();
    await b.serve();
    if (way === "lost") {
      const gone = new AbortController();
      const waiting = a.beat({ immediate: false }, gone.signal);
      await clock.advance(0);
      gone.abort();
      await waiting;
      await clock.advance(300);
    } else if (way === "leaves") {
      await registry.unsubscribe({ workerId: "a", session: a.session, token: a.token });
    } else {
      for (let passed = 0; passed <= HEARTBEAT_MS * HEARTBEATS_MISSED_MAX; passed += 500) {
        await b.beat();
        await clock.advance(500);
      }
    }
    await b.serve();
    assert.deepEqual(partitions(registry, "b"), [0, 1, 2, 3], way);
    const [reason] = state.counted.filter((what) => what.startsWith("gone"));
    assert.equal(reason, { lost: "gone connection_lost", leaves: "gone left", missed: "gone heartbeats_missed" }[way]);
    assert.deepEqual(state.counted.filter((what) => what.startsWith("moved")), ["moved 4", "moved 2", "moved 2"]);
    registry.close();
  }
});

Deno.test("registry: what is waited for of a worker is told once, and only the newest", async () => {
  const { registry, clock } = start();
  const a = await new Member(registry, "a").join();
  await a.serve();
  registry.batchFloor("of nobody", "d", 1);
  registry.batchFloor(a.session, "d", 7);
  registry.batchFloor(a.session, "d", 5);
  assert.deepEqual((await a.beat({ immediate: false })).floors, [{ dispatcher: "d", floor: 7 }]);
  let answered = false;
  const waiting = a.beat({ immediate: false }).then(({ floors }) => {
    answered = true;
    return floors;
  });
  registry.batchFloor(a.session, "d", 7);
  await clock.advance(0);
  assert(!answered, "there is nothing new");
  registry.batchFloor(a.session, "e", 2);
  assert.deepEqual(await waiting, [{ dispatcher: "d", floor: 7 }, { dispatcher: "e", floor: 2 }]);
  registry.close();
});

Deno.test("registry: what a worker has finished is known at once, as long as it is a member", async () => {
  const { registry, state } = start();
  const [a, b] = [await new Member(registry, "a").join(), await new Member(registry, "b").join()];
  await a.serve();
  await b.serve();
  await a.serve();
  await b.serve();
  const { changes } = state;
  const finished = [{ dispatcher: "d", floor: 5 }];
  await a.beat({ finished });
  assert.equal(state.changes, changes + 1);
  const known = registry.finished();
  await a.beat({ finished });
  await a.beat({ finished: [{ dispatcher: "d", floor: 4 }] });
  assert.equal(state.changes, changes + 1, "that is no news");
  assert.equal(registry.finished(), known);
  await b.beat({ finished: [{ dispatcher: "d", floor: 9 }] });
  assert.deepEqual([...registry.finished()], [[`${a.session}/d`, 5], [`${b.session}/d`, 9]]);
  registry.refused(a.session);
  assert.deepEqual([...registry.finished()], [[`${b.session}/d`, 9]]);
  registry.close();
});

Deno.test("registry: of workers that were here so many are shown, those that came back among the others", async () => {
  const { registry } = start();
  for (let n = 0; n < WORKERS_MAX + 2; n++) {
    const member = await new Member(registry, `w${n}`).join();
    registry.refused(member.session);
  }
  assert.equal(registry.workers().length, WORKERS_MAX);
  assert(!registry.workers().some(({ workerId }) => workerId === "w0" || workerId === "w1"));
  const back = await new Member(registry, "w5", "another start").join();
  assert.equal(registry.workers().length, WORKERS_MAX);
  const shown = () => registry.workers().filter(({ workerId }) => workerId === "w5").map(({ status }) => status);
  assert.deepEqual(shown(), ["Available"]);
  await back.beat({ leaving: true });
  assert.deepEqual(shown(), ["Unavailable"]);
  registry.close();
});

Deno.test("dialAddress: what is advertised, or where the call came from", () => {
  assert.equal(dialAddress("10.0.0.1:5", "127.0.0.1"), "10.0.0.1:5");
  assert.equal(dialAddress("0.0.0.0:5", "10.1.1.1"), "10.1.1.1:5");
  assert.equal(dialAddress(":5", "10.1.1.1"), "10.1.1.1:5");
  assert.equal(dialAddress("[::]:5", "fd00::1"), "[fd00::1]:5");
  assert.equal(dialAddress("[fd00::2]:5", "10.1.1.1"), "[fd00::2]:5");
});

Deno.test("registry: a worker that cannot be called where it says gets no partitions, and is told why", async () => {
  const asked: string[] = [];
  const { registry, log } = start({
    probe: (address, session) => {
      asked.push(`${address} ${session}`);
      return Promise.resolve(address.endsWith(":1") ? undefined : "nobody answers");
    },
  });
  const good = new Member(registry, "good");
  await good.join();
  await assert.rejects(
    registry.subscribe(subscription("lost", "s2", { tags: { grpc_addr: "127.0.0.1:2" } }), "127.0.0.1"),
    (error) =>
      error instanceof TransportError && error.reason === "denied" && error.message.includes("127.0.0.1:2") &&
      error.message.includes("nobody answers"),
  );
  assert(registry.routes().owners.every((owner) => typeof owner !== "object" || owner.session === good.session));
  assert.equal(registry.routes().workers.size, 1);
  assert.deepEqual(asked, [`127.0.0.1:1 ${good.session}`, "127.0.0.1:2 s2"]);
  assert(log.lines.some(({ event }) => event === "join_refused"));
  registry.close();
});
