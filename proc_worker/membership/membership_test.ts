import assert from "assert";
import { recordingLogger } from "../../shared/logging/logger.ts";
import type { Partition } from "../../shared/names.ts";
import { ManualClock } from "../../shared/seams/manual_clock.ts";
import { systemRandom } from "../../shared/seams/random.ts";
import type {
  HeartbeatRequest,
  HeartbeatResponse,
  SubscribeRequest,
  SubscribeResponse,
} from "../../shared/wire/messages.ts";
import { type MainClient, TransportError, type TransportFailure } from "../../shared/wire/transport.ts";
import { JoinRefused, Membership } from "./membership.ts";

const same = (a: string, b: string) => a === b;
const TTL_MS = 3_600_000;

/** A main worker whose answers the test decides. */
class FakeMain implements MainClient {
  joins: SubscribeRequest[] = [];
  beats: HeartbeatRequest[] = [];
  left: string[] = [];
  deadlines: number[] = [];
  /** Why the next joins fail; `undefined`: they don't. */
  refusing: TransportFailure | undefined;
  /** Why heartbeats fail; `undefined`: they don't. */
  failing: TransportFailure | undefined;
  heartbeatMs = 2_000;
  #waiting: ((more: Partial<HeartbeatResponse>) => void)[] = [];

  constructor(readonly clock: ManualClock) {}

  subscribe(request: SubscribeRequest): Promise<SubscribeResponse> {
    this.joins.push(request);
    if (this.refusing) {
      return Promise.reject(new TransportError(this.refusing, `the join was refused: ${this.refusing}`));
    }
    return Promise.resolve({
      token: `token-${this.joins.length}`,
      tokenExpiresAtMs: this.clock.now() + TTL_MS,
      keys: [],
      heartbeatMs: this.heartbeatMs,
      term: this.joins.length,
      documentBytesMax: 1,
    });
  }

  heartbeat(request: HeartbeatRequest, deadlineMs: number): Promise<HeartbeatResponse> {
    this.beats.push(request);
    this.deadlines.push(deadlineMs);
    if (this.failing) return Promise.reject(new TransportError(this.failing, this.failing));
    const answer = (more: Partial<HeartbeatResponse> = {}): HeartbeatResponse => ({
      epoch: 1,
      assigned: [],
      floors: [],
      ...more,
    });
    if (request.immediate) return Promise.resolve(answer());
    return new Promise((resolve) => this.#waiting.push((more) => resolve(answer(more))));
  }

  /** Answers the heartbeat that waits. */
  async answer(more: Partial<HeartbeatResponse> = {}): Promise<void> {
    this.#waiting.shift()?.(more);
    await this.clock.advance(0);
  }

  unsubscribe({ session }: { session: string }): Promise<void> {
    this.left.push(session);
    return Promise.resolve();
  }

  close(): void {}
}

function start() {
  const clock = new ManualClock();
  const main = new FakeMain(clock);
  const log = recordingLogger();
  const state = {
    proof: () => Promise.resolve(new Uint8Array(32)),
    joined: () => Promise.resolve(),
    assigned: [] as HeartbeatResponse[],
    owned: [] as number[],
  };
  const membership = new Membership({
    client: main,
    identity: {
      workerId: "w",
      session: "s",
      publicKey: new Uint8Array(1),
      tags: {},
      storeId: "store",
      partitions: 4,
      prove: () => state.proof(),
    },
    peers: {
      joined: () => state.joined(),
      assigned: (response) => state.assigned.push(response),
      holding: () => state.owned as Partition[],
      report: () => ({
        owned: [],
        releasing: [],
        failing: [],
        finished: [],
        epoch: 0,
        activeRequests: 0,
        cache: { entries: 0, bytes: 0, hits: 0, misses: 0, evictions: 0 },
      }),
    },
    clock,
    random: systemRandom,
    log,
    metrics: { heartbeatFailed() {} },
  });
  const run = membership.run();
  run.catch(() => {});
  return { clock, main, log, state, membership, run };
}

Deno.test("membership: joins, follows assignments, numbers its reports", async () => {
  const { clock, main, state, membership } = start();
  await clock.advance(0);
  assert(membership.member);
  await main.answer({ assigned: [{ partition: 1 as Partition, epoch: 7 }] });
  await main.answer();
  assert.deepEqual(state.assigned[0]!.assigned, [{ partition: 1, epoch: 7 }]);
  assert.deepEqual(main.beats.map(({ seq, token }) => [seq, token]), [[1, "token-1"], [2, "token-1"], [3, "token-1"]]);
  await membership.stop();
});

Deno.test("membership: accepts the token that it was issued and the one before, until they end", async () => {
  const { clock, main, membership } = start();
  await clock.advance(0);
  assert(membership.authorize("token-1", same));
  assert(!membership.authorize("token-2", same));
  assert(!membership.authorize("", same));
  await main.answer({ token: "renewed", tokenExpiresAtMs: clock.now() + 2 * TTL_MS });
  assert(membership.authorize("renewed", same));
  assert(membership.authorize("token-1", same), "calls that are on their way");
  assert.equal(main.beats.at(-1)!.token, "renewed");
  clock.jump(TTL_MS);
  assert(!membership.authorize("token-1", same));
  assert(membership.authorize("renewed", same));
  await membership.stop();
});

Deno.test("membership: of the tokens before the newest only one still counts", async () => {
  const { clock, main, membership } = start();
  await clock.advance(0);
  for (const token of ["second", "third"]) await main.answer({ token, tokenExpiresAtMs: clock.now() + TTL_MS });
  assert.deepEqual(["token-1", "second", "third"].map((token) => membership.authorize(token, same)), [
    false,
    true,
    true,
  ]);
  main.failing = "denied";
  await main.answer();
  main.failing = undefined;
  await clock.advance(1_000);
  const joined = `token-${main.joins.length}`;
  assert.notEqual(joined, "token-1");
  assert.deepEqual(["second", "third", joined].map((token) => membership.authorize(token, same)), [false, true, true]);
  await membership.stop();
});

Deno.test("membership: it is connected as long as heartbeats are answered as often as the main worker wants them", async () => {
  const { clock, main, membership } = start();
  main.heartbeatMs = 500;
  assert(!membership.connected);
  await clock.advance(0);
  assert(membership.connected);
  assert.equal(main.deadlines.at(-1), 3_500);
  await clock.advance(1_499);
  assert(membership.connected);
  await clock.advance(1);
  assert(!membership.connected && membership.member);
  await main.answer();
  assert(!membership.connected, "the heartbeat that was answered is as old");
  await clock.advance(400);
  await main.answer();
  assert(membership.connected);
  await membership.stop();
});

Deno.test("membership: it is a member when what it was given is in place; where that fails it leaves, and says why", async () => {
  const { clock, main, state, membership } = start();
  const keys = Promise.withResolvers<void>();
  state.joined = () => keys.promise;
  await clock.advance(500);
  assert.deepEqual([membership.member, main.beats.length], [false, 0]);
  keys.resolve();
  await clock.advance(0);
  assert.deepEqual([membership.member, main.beats.length], [true, 1]);
  await membership.stop();

  const failing = start();
  failing.state.joined = () => Promise.reject(new JoinRefused("its limit is too small"));
  await failing.clock.advance(0);
  await assert.rejects(failing.run, /its limit is too small/);
  assert.deepEqual([failing.main.left, failing.membership.member], [["s"], false]);

  // What may pass is tried again, and the main worker told each time.
  const passing = start();
  let tries = 0;
  passing.state.joined = () =>
    ++tries < 3 ? Promise.reject(new TransportError("broken", "not yet")) : Promise.resolve();
  await passing.clock.advance(2_000);
  assert.deepEqual([passing.main.left.length, passing.membership.member], [2, true]);
  await passing.membership.stop();

  const stopped = start();
  const late = Promise.withResolvers<void>();
  stopped.state.joined = () => late.promise;
  await stopped.clock.advance(0);
  await stopped.membership.stop();
  late.resolve();
  await stopped.run;
  assert.deepEqual([stopped.main.left, stopped.membership.member], [["s"], false]);
});

Deno.test("membership: a main worker that does not know it any more is joined again, with what it holds", async () => {
  const { clock, main, state, membership } = start();
  await clock.advance(0);
  state.owned = [0, 3];
  main.failing = "refused";
  await main.answer();
  const before = main.joins.length;
  await clock.advance(1_000);
  assert.equal(main.joins.length, before, "nobody there: it is still a member");
  main.failing = "denied";
  await clock.advance(200);
  main.failing = undefined;
  await clock.advance(200);
  assert.equal(main.joins.length, before + 1);
  assert.deepEqual(main.joins.at(-1)!.owned, [0, 3]);
  assert(membership.member);
  await membership.stop();
});

Deno.test("membership: a main worker that is not there yet is waited for, and said once", async () => {
  const { clock, main, log, membership } = start();
  main.refusing = "refused";
  await clock.advance(60_000);
  assert(main.joins.length > 20);
  assert.equal(log.of("join_failed").length, 1);
  main.refusing = undefined;
  await clock.advance(2_000);
  assert(membership.member);
  await membership.stop();
});

Deno.test("membership: one that ends as soon as it begins is not begun again without a pause", async () => {
  const { clock, main, membership } = start();
  main.failing = "denied";
  await clock.advance(2_000);
  assert(main.joins.length > 5 && main.joins.length < 25, `${main.joins.length} joins`);
  await membership.stop();
});

Deno.test("membership: a join secret that cannot be read for a while is not the end", async () => {
  const { clock, main, log, state, membership } = start();
  const proof = state.proof;
  main.failing = "denied";
  state.proof = () => Promise.reject(new Error("the file system is away"));
  await clock.advance(0);
  await main.answer();
  await clock.advance(30_000);
  assert.match(String(log.of("join_failed")[0]!.fields.error), /secret cannot be read: the file system is away/);
  state.proof = proof;
  main.failing = undefined;
  await clock.advance(2_000);
  assert(membership.member);
  await membership.stop();
});

Deno.test("membership: a worker that is refused gives up; one whose id was taken over meanwhile, soon", async () => {
  const refused = start();
  refused.main.refusing = "denied";
  await refused.clock.advance(11_000);
  let ended = false;
  refused.run.catch(() => ended = true);
  await refused.clock.advance(0);
  assert(!ended);
  await refused.clock.advance(10_000);
  await assert.rejects(refused.run, (error) => error instanceof JoinRefused && /denied/.test(error.message));

  const replaced = start();
  await replaced.clock.advance(0);
  replaced.main.failing = "denied";
  replaced.main.refusing = "busy";
  await replaced.main.answer();
  await replaced.clock.advance(8_000);
  await assert.rejects(replaced.run, JoinRefused);
});

Deno.test("membership: pokes become one report at once; while one is under way they wait for the next", async () => {
  const { clock, main, membership } = start();
  membership.poke();
  await clock.advance(0);
  const immediate = () => main.beats.filter(({ immediate }) => immediate).length;
  assert.equal(immediate(), 0, "not a member yet");
  for (let n = 0; n < 10; n++) membership.poke();
  await clock.advance(0);
  assert.equal(immediate(), 1);
  membership.poke();
  await clock.advance(0);
  assert.equal(immediate(), 2);
  await membership.stop();
});

Deno.test("membership: the right to write is as old as the last answered heartbeat was sent", async () => {
  const { clock, main, membership } = start();
  assert.equal(membership.sinceAnsweredMs, Infinity);
  await clock.advance(0);
  await clock.advance(1_500);
  assert.equal(membership.sinceAnsweredMs, 1_500);
  assert.equal(membership.sinceAssignedMs, Infinity, "a join says nothing of partitions");
  await main.answer();
  assert.equal(membership.sinceAnsweredMs, 1_500, "it was sent then, not now");
  assert.equal(membership.sinceAssignedMs, 1_500);
  main.failing = "broken";
  await clock.advance(4_000);
  assert.equal(membership.sinceAnsweredMs, 5_500);
  assert.equal(membership.sinceAssignedMs, 5_500);
  // The machine was suspended, and its monotonic clock stood still.
  clock.jump(60_000);
  assert.equal(membership.sinceAssignedMs, 65_500);
  assert.equal(membership.connected, false);
  // A wall clock that is set back gives nothing back.
  clock.jump(-120_000);
  assert.equal(membership.sinceAssignedMs, 5_500);
  await membership.stop();
});

Deno.test("membership: it leaves in good order, and does not wait long for a main worker that is away", async () => {
  const { clock, main, membership } = start();
  await clock.advance(0);
  await membership.leave();
  assert(main.beats.at(-1)!.leaving && main.beats.at(-1)!.immediate);
  assert(main.deadlines.at(-1)! <= 2_000);
  await membership.stop();
  assert.deepEqual(main.left, ["s"]);

  const never = start();
  never.main.refusing = "refused";
  await never.clock.advance(500);
  await never.membership.leave();
  await never.membership.stop();
  assert.deepEqual([never.main.beats.length, never.main.left.length], [0, 0], "it never was a member");
});
