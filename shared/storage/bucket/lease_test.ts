import assert from "assert";
import { ManualClock } from "../../seams/manual_clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { StorageError } from "../store.ts";
import { ALL_CONDITIONS, type Conditions } from "./conditions.ts";
import { LEASE_KEY } from "./layout.ts";
import { type Lease, takeLease } from "./lease.ts";
import { MemoryClient } from "./memory_client.ts";
import { ObjectError } from "./object_error.ts";
import { Requests } from "./requests.ts";

const LEASE_MS = 15_000;

/** A main worker's process: its own clock, the shared service. */
class Process {
  readonly clock = new ManualClock();
  constructor(readonly client: MemoryClient, readonly conditions: Conditions = ALL_CONDITIONS) {}

  take(holder: string, holds?: (untilMs: number) => void): ReturnType<typeof takeLease> {
    const { clock, client, conditions } = this;
    const requests = new Requests(clock, systemRandom);
    return takeLease({ client, requests, clock, random: systemRandom, conditions, leaseMs: LEASE_MS }, holder, holds);
  }

  async taken(holder: string): Promise<Lease> {
    const taking = this.take(holder);
    await this.clock.advance(0);
    const outcome = await taking;
    assert.ok(outcome.kind === "locked");
    return outcome.lock;
  }
}

/** Lets the same time pass in several processes, in steps. */
async function advance(processes: readonly Process[], ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    for (const { clock } of processes) await clock.advance(500);
  }
}

function record(client: MemoryClient): { holder: string; renewal: number; released: boolean } {
  return JSON.parse(new TextDecoder().decode(client.objects.get(LEASE_KEY)!.bytes));
}

const broken = (kind: "ambiguous" | "unsent") => new ObjectError(kind, "TEST", "the test broke it");

Deno.test("a lease is renewed every third of its time, and held as long as that works", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const lease = await process.taken("a");
  await process.clock.advance(LEASE_MS * 4);
  assert.equal(lease.lost.aborted, false);
  assert.equal(record(client).renewal, 13);
  await lease.release();
  assert.equal(record(client).released, true);
  assert.equal(process.clock.timers, 0);
});

Deno.test("who asks is told until when a lease holds, as long as it is renewed", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const { clock } = process;
  const startedMs = clock.now();
  const told: number[] = [];
  const taking = process.take("a", (untilMs) => told.push(untilMs - startedMs));
  await clock.advance(0);
  assert.equal((await taking).kind, "locked");
  assert.deepEqual(told, [LEASE_MS * 0.9]);
  await clock.advance(LEASE_MS / 3);
  assert.deepEqual(told, [LEASE_MS * 0.9, LEASE_MS * (1 / 3 + 0.9)]);
  client.before = () => {
    throw broken("unsent");
  };
  await clock.advance(LEASE_MS * 2);
  assert.equal(told.length, 2);
});

Deno.test("a second one is refused as soon as the first renews, and told who it is", async () => {
  const client = new MemoryClient();
  const [first, second] = [new Process(client), new Process(client)];
  const lease = await first.taken("main on host a, process 1");
  const taking = second.take("b");
  await advance([first, second], LEASE_MS / 2);
  assert.deepEqual(await taking, { kind: "held", by: "main on host a, process 1" });
  await lease.release();
});

Deno.test("a holder that died is followed after one lease by the watcher's own clock", async () => {
  const client = new MemoryClient();
  const dead = new Process(client);
  await dead.taken("a");
  const next = new Process(client);
  // Nobody's wall clock matters.
  next.clock.jump(-3_600_000);
  let outcome: Awaited<ReturnType<Process["take"]>> | undefined;
  const taking = next.take("b").then((result) => outcome = result);
  await next.clock.advance(LEASE_MS - 10);
  assert.equal(outcome, undefined);
  await next.clock.advance(LEASE_MS / 2);
  await taking;
  assert.ok(outcome?.kind === "locked");
  assert.equal(record(client).holder, "b");
  await outcome.lock.release();
});

Deno.test("a lease that was given back is taken at once", async () => {
  const client = new MemoryClient();
  const first = new Process(client);
  await (await first.taken("a")).release();
  const lease = await new Process(client).taken("b");
  await lease.release();
});

Deno.test("a paused holder finds itself fenced before any timer of its own fires", async () => {
  const client = new MemoryClient();
  const first = new Process(client);
  const lease = await first.taken("a");
  let told = false;
  lease.lost.addEventListener("abort", () => told = true);
  first.clock.freeze(LEASE_MS);
  assert.throws(() => lease.assertHeld(), StorageError);
  assert.equal(lease.lost.aborted, true);
  assert.equal(told, true);
  assert.match(String(lease.lost.reason), /lease/);
  await lease.release();
  assert.equal(record(client).released, false);
});

Deno.test("a machine that was suspended, whose monotonic clock stood still, is fenced by its wall clock", async () => {
  const first = new Process(new MemoryClient());
  const lease = await first.taken("a");
  first.clock.jump(LEASE_MS);
  assert.equal(lease.lost.aborted, true);
  await lease.release();
});

Deno.test("a holder gives up before its lease has passed, and a watcher never takes over earlier", async () => {
  const client = new MemoryClient();
  const [first, second] = [new Process(client), new Process(client)];
  const lease = await first.taken("a");
  await first.clock.advance(LEASE_MS / 3);
  // From here on the holder reaches nothing.
  let cut = true;
  client.before = () => {
    if (cut) throw broken("unsent");
  };
  const started = first.clock.monotonic();
  await first.clock.advance(LEASE_MS * 0.9 - 1);
  assert.equal(lease.lost.aborted, false);
  await first.clock.advance(2);
  assert.equal(lease.lost.aborted, true);
  assert.ok(first.clock.monotonic() - started < LEASE_MS);
  cut = false;
  const taking = second.take("b");
  await second.clock.advance(LEASE_MS * 2);
  const outcome = await taking;
  assert.ok(outcome.kind === "locked");
  await lease.release();
  assert.equal(record(client).holder, "b");
  await outcome.lock.release();
});

Deno.test("a renewal whose answer was lost does not lose the lease", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const lease = await process.taken("a");
  let lose = 3;
  client.after = (method) => {
    if (method === "PUT" && lose-- > 0) throw broken("ambiguous");
  };
  await process.clock.advance(LEASE_MS * 3);
  assert.equal(lease.lost.aborted, false);
  await lease.release();
  assert.equal(record(client).released, true);
});

Deno.test("a holder whose lease somebody took loses it at the next renewal", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const lease = await process.taken("a");
  const signal = new AbortController().signal;
  await client.put(LEASE_KEY, new TextEncoder().encode("{}"), undefined, signal);
  await process.clock.advance(LEASE_MS / 3);
  assert.equal(lease.lost.aborted, true);
  assert.match(String(lease.lost.reason), /taken over/);
  await lease.release();
});

Deno.test("of several that want a lease whose holder died, one gets it", async () => {
  const client = new MemoryClient();
  await new Process(client).taken("dead");
  const rivals = Array.from({ length: 4 }, () => new Process(client));
  const takings = rivals.map((rival, index) => rival.take(`rival ${index}`));
  await advance(rivals, LEASE_MS * 2.5);
  const outcomes = await Promise.all(takings);
  const locked = outcomes.flatMap((outcome) => outcome.kind === "locked" ? [outcome.lock] : []);
  assert.equal(locked.length, 1);
  for (const outcome of outcomes) {
    if (outcome.kind === "held") assert.match(outcome.by, /^rival \d$/);
  }
  await locked[0]!.release();
});

Deno.test("a damaged lease is waited for and replaced", async () => {
  const client = new MemoryClient();
  await client.put(LEASE_KEY, new TextEncoder().encode("not a lease"), undefined, new AbortController().signal);
  const process = new Process(client);
  const taking = process.take("a");
  await process.clock.advance(LEASE_MS * 2);
  const outcome = await taking;
  assert.ok(outcome.kind === "locked");
  await outcome.lock.release();
});

Deno.test("without conditions the lease still keeps a second one out that comes later", async () => {
  const client = new MemoryClient();
  const none: Conditions = { create: false, replace: "none", replaceNeedsObject: true, remove: false };
  const [first, second] = [new Process(client, none), new Process(client, none)];
  const taking = first.take("a");
  await first.clock.advance(1_000);
  const outcome = await taking;
  assert.ok(outcome.kind === "locked");
  const late = second.take("b");
  await advance([first, second], LEASE_MS);
  assert.deepEqual(await late, { kind: "held", by: "a" });
  const releasing = outcome.lock.release();
  await first.clock.advance(1_000);
  await releasing;
});

/** A holder whose renewals are carried out without its hearing of it, until it is heard for a moment, and then never again. */
async function heardFor(ms: number, from: number): Promise<void> {
  const client = new MemoryClient();
  const [holder, rival] = [new Process(client), new Process(client)];
  const lease = await holder.taken("a");
  let [now, acting] = [0, holder];
  const lose = () => {
    throw broken("ambiguous");
  };
  const heard = () => acting !== holder || (now >= from && now < from + ms);
  client.before = (method) => (heard() || (now < from && method === "PUT")) ? undefined : lose();
  client.after = () => heard() ? undefined : lose();
  let taken: Lease | undefined;
  let taking: Promise<void> | undefined;
  for (; now < LEASE_MS * 3; now += 100) {
    acting = holder;
    await holder.clock.advance(100);
    // Watches the object as it is from the moment on when the first renewal was carried out.
    if (record(client).renewal === 2) {
      taking ??= rival.take("b").then((outcome) => {
        if (outcome.kind === "locked") taken = outcome.lock;
      });
    }
    acting = rival;
    await rival.clock.advance(100);
    assert.ok(taken === undefined || lease.lost.aborted, `heard for ${ms} ms from ${from}: two hold it at ${now}`);
  }
  await taking;
  assert.ok(lease.lost.aborted);
  await lease.release();
  await taken?.release();
}

Deno.test("a renewal that was carried out long before its holder learns of it does not count from then on", async () => {
  for (let from = 5_200; from < 14_000; from += 400) {
    for (const ms of [200, 800, 1_600]) await heardFor(ms, from);
  }
});

Deno.test("a renewal whose answer was lost, and all that came after it for a while, does not lose the lease", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const lease = await process.taken("a");
  await process.clock.advance(LEASE_MS / 3 - 1);
  let mute = true;
  client.after = () => {
    if (mute) throw broken("ambiguous");
  };
  client.before = (method) => {
    if (mute && method === "GET") throw broken("ambiguous");
  };
  await process.clock.advance(7_000);
  assert.equal(record(client).renewal, 2);
  mute = false;
  await process.clock.advance(LEASE_MS);
  assert.equal(lease.lost.aborted, false);
  assert.ok(record(client).renewal > 4, `${record(client).renewal}`);
  await lease.release();
});

Deno.test("a holder that gives its lease back while it is waited for is followed soon, as is one that is gone", async () => {
  for (const leave of ["release", "remove"]) {
    const client = new MemoryClient();
    const [first, second] = [new Process(client), new Process(client)];
    const lease = await first.taken("a");
    let outcome: Awaited<ReturnType<Process["take"]>> | undefined;
    const taking = second.take("b").then((result) => outcome = result);
    await second.clock.advance(1_000);
    if (leave === "release") await lease.release();
    else client.objects.delete(LEASE_KEY);
    await second.clock.advance(LEASE_MS / 6);
    await taking;
    assert.ok(outcome?.kind === "locked", leave);
    await outcome.lock.release();
    await lease.release();
  }
});

Deno.test("a lease is given back once", async () => {
  const client = new MemoryClient();
  const process = new Process(client);
  const lease = await process.taken("a");
  await Promise.all([lease.release(), lease.release()]);
  await lease.release();
  assert.deepEqual([record(client).renewal, record(client).released], [2, true]);
});

Deno.test("what looks like a lease that was given back, but is none, is waited for", async () => {
  const whole = { holder: "a", id: "1", renewal: 1, lease_ms: LEASE_MS, released: true };
  const bad = { holder: 1, id: null, renewal: "1", lease_ms: 0, released: "true" };
  const texts = ["null", "true", "[]", '"released"'];
  for (const [member, value] of Object.entries(bad)) texts.push(JSON.stringify({ ...whole, [member]: value }));
  for (const text of texts) {
    const client = new MemoryClient();
    await client.put(LEASE_KEY, new TextEncoder().encode(text), undefined, new AbortController().signal);
    const process = new Process(client);
    let outcome: Awaited<ReturnType<Process["take"]>> | undefined;
    const taking = process.take("b").then((result) => outcome = result);
    await process.clock.advance(LEASE_MS - 1);
    assert.equal(outcome, undefined, text);
    await process.clock.advance(LEASE_MS / 6);
    await taking;
    assert.ok(outcome?.kind === "locked", text);
    await outcome.lock.release();
  }
});

Deno.test("without conditions: of two that take it at once one holds it, and a holder notices that it was replaced", async () => {
  const none: Conditions = { create: false, replace: "none", replaceNeedsObject: true, remove: false };
  const client = new MemoryClient();
  const rivals = [new Process(client, none), new Process(client, none)];
  const takings = rivals.map((rival, index) => rival.take(`rival ${index}`));
  await advance(rivals, 2 * LEASE_MS);
  const outcomes = await Promise.all(takings);
  const locked = outcomes.flatMap((outcome) => outcome.kind === "locked" ? [outcome.lock] : []);
  assert.equal(locked.length, 1);
  const [lease] = locked as [Lease];
  assert.equal(lease.lost.aborted, false);
  const text = new TextEncoder().encode("{}");
  await client.put(LEASE_KEY, text, undefined, new AbortController().signal);
  await advance(rivals, LEASE_MS / 2);
  assert.equal(lease.lost.aborted, true);
  assert.deepEqual(client.objects.get(LEASE_KEY)!.bytes, text);
  await lease.release();
});
