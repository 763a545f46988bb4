/**
 * Entities on a service that fails at random, in virtual time: requests that are not carried out, that are and whose
 * answer is lost, and that are carried out much later, when everybody has forgotten them.
 */
import assert from "assert";
import fc from "fast-check";
import { ManualClock } from "../../seams/manual_clock.ts";
import { S3_ATTEMPTS_MAX, S3_DOUBT_MS } from "../../limits.ts";
import type { Clock } from "../../seams/clock.ts";
import { systemRandom } from "../../seams/random.ts";
import { type CommitOutcome, StorageError } from "../store.ts";
import { ALL_CONDITIONS, type Conditions } from "./conditions.ts";
import { BucketEntities } from "./entities.ts";
import { envelopeKey } from "./layout.ts";
import { MemoryClient } from "./memory_client.ts";
import type { Condition, ETag, PutAnswer } from "./object_client.ts";
import { ObjectError, type ObjectErrorKind } from "./object_error.ts";
import { Requests } from "./requests.ts";
import { envelopeOf, named } from "./testing.ts";

/** What happens to a request. `late`: the caller hears nothing, and it is carried out after so many milliseconds. */
type Fate = "fine" | "lost" | "unsent" | "throttled" | "error" | "hang" | { readonly late: number };

/** A service that takes the fate of each change from a list, and is fine when that is used up. */
class FaultyClient extends MemoryClient {
  readonly #fates: Fate[];
  readonly #clock: Clock;

  constructor(fates: readonly Fate[], clock: Clock) {
    super();
    this.#fates = [...fates];
    this.#clock = clock;
  }

  async #under<T>(key: string, carryOut: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const fate = key.endsWith(".enc") ? this.#fates.shift() ?? "fine" : "fine";
    const failure = (kind: ObjectErrorKind) => new ObjectError(kind, "TEST", `the test says ${kind}`);
    switch (fate) {
      case "fine":
        return await carryOut();
      case "lost":
        await carryOut();
        throw failure("ambiguous");
      case "unsent":
      case "throttled":
        throw failure(fate);
      case "error":
        throw failure("ambiguous");
      case "hang":
        return await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(failure("ambiguous")), { once: true })
        );
      default:
        this.#clock.setTimer(() => void carryOut(), fate.late);
        throw failure("ambiguous");
    }
  }

  override put(key: string, bytes: Uint8Array, condition: Condition | undefined, signal: AbortSignal) {
    return this.#under<PutAnswer>(key, () => super.put(key, bytes, condition, signal), signal);
  }

  override delete(key: string, ifMatch: ETag | undefined, signal: AbortSignal) {
    return this.#under(key, () => super.delete(key, ifMatch, signal), signal);
  }
}

const fates: fc.Arbitrary<Fate[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant<Fate>("fine") },
    { weight: 5, arbitrary: fc.constantFrom<Fate>("lost", "unsent", "throttled", "error", "hang") },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: S3_DOUBT_MS - 10_000 }).map((late): Fate => ({ late })) },
  ),
  { maxLength: 60 },
);

const AT = named("k");
const KEY = envelopeKey(AT.name);

async function open(
  client: MemoryClient,
  clock: Clock,
  conditions: Conditions,
  mayWrite: () => boolean = () => true,
): Promise<BucketEntities> {
  const requests = new Requests(clock, systemRandom);
  const entities = new BucketEntities({ client, requests, clock, conditions, partitions: 16, mayWrite });
  await entities.take(AT.partition);
  return entities;
}

/** The outcome, or the reason of the failure; `onUnknown` is told when an unknown outcome is decided. */
async function outcomeOf(
  commit: Promise<CommitOutcome>,
  onUnknown: (decided: Promise<void>) => void = () => {},
): Promise<CommitOutcome["kind"] | StorageError["reason"]> {
  try {
    return (await commit).kind;
  } catch (error) {
    assert.ok(error instanceof StorageError, String(error));
    assert.equal(error.decided !== undefined, error.reason === "unknown");
    if (error.decided !== undefined) onUnknown(error.decided);
    return error.reason;
  }
}

const SERVICES: Readonly<Record<string, Conditions>> = {
  "that honours everything": ALL_CONDITIONS,
  "that ignores conditions on DELETE": { ...ALL_CONDITIONS, remove: false },
  "that ignores conditions": { create: false, replace: "none", replaceNeedsObject: true, remove: false },
};

for (const [service, conditions] of Object.entries(SERVICES)) {
  Deno.test(`one owner at a service ${service}: what is committed stays, what is unknown may come`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fates,
        fc.array(fc.tuple(fc.constantFrom("put", "put", "blind put", "delete"), fc.integer({ min: 0, max: 40_000 })), {
          minLength: 1,
          maxLength: 12,
        }),
        async (plan, steps) => {
          const clock = new ManualClock();
          const client = new FaultyClient(plan, clock);
          const entities = await open(client, clock, conditions);
          /** Writes of unknown outcome that may still take effect. */
          let undecided = 0;
          /** States that may be there: of several only after a write of unknown outcome. */
          let possible = new Set<string>(["absent"]);
          const stateOf = (bytes: Uint8Array | undefined) => bytes === undefined ? "absent" : bytes.toHex();
          const check = (what: string) => {
            const state = stateOf(client.objects.get(KEY)?.bytes);
            assert.ok(
              possible.has(state),
              `${what}: ${state.slice(-20)} is none of the ${possible.size} possible states`,
            );
          };
          for (const [step, pauseMs] of steps) {
            const blind = step === "blind put" && entities.blindCreate;
            const seen = blind ? undefined : await clock.runUntil(entities.read(AT.partition, AT.name));
            check("read");
            const envelope = step === "delete" ? undefined : envelopeOf("k", 1);
            const commit = entities.commit({ ...AT, envelope, expected: seen?.token, blind });
            const onUnknown = async (decided: Promise<void>) => {
              undecided++;
              await decided;
              if (--undecided === 0) possible = new Set([stateOf(client.objects.get(KEY)?.bytes)]);
            };
            const outcome = await clock.runUntil(outcomeOf(commit, onUnknown));
            if (outcome === "committed") possible = new Set([stateOf(envelope)]);
            else if (outcome === "unknown") possible.add(stateOf(envelope));
            else if (outcome === "conflict") {
              assert.ok(possible.size > 1 || (blind && !possible.has("absent")), "a conflict with nobody");
            }
            check(`${step} ${outcome}`);
            await clock.advance(pauseMs);
            check(`after ${step} ${outcome}`);
          }
          await clock.advance(S3_DOUBT_MS + 1_000);
          assert.equal(undecided, 0);
          assert.equal(possible.size, 1);
          await clock.advance(S3_DOUBT_MS);
          check("at the end");
          await clock.runUntil(entities.close());
        },
      ),
      { numRuns: 300 },
    );
  });
}

Deno.test("two rogue owners at a failing service: no acknowledged update is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fates, fc.integer({ min: 1, max: 6 }), async (plan, rounds) => {
      const clock = new ManualClock();
      const client = new FaultyClient(plan, clock);
      const owners = [await open(client, clock, ALL_CONDITIONS), await open(client, clock, ALL_CONDITIONS)];
      const acknowledged: string[] = [];
      const work = Promise.all(owners.map(async (entities, owner) => {
        for (let round = 0; round < rounds; round++) {
          const blind = (round + owner) % 2 === 0;
          const seen = blind ? undefined : await entities.read(AT.partition, AT.name);
          const [version, marks] = seen === undefined ? [0, ""] : contentOf(seen.envelope);
          const mark = `<${owner}.${round}>`;
          const envelope = envelopeOf("k", version + 1, `${version + 1} ${marks}${mark}`);
          const outcome = await outcomeOf(entities.commit({ ...AT, envelope, expected: seen?.token, blind }));
          if (outcome === "committed") acknowledged.push(mark);
        }
      }));
      await clock.runUntil(work);
      await clock.advance(2 * S3_DOUBT_MS);
      const last = client.objects.get(KEY)?.bytes;
      const [, marks] = last === undefined ? [0, ""] : contentOf(last);
      for (const mark of acknowledged) {
        assert.equal(marks.split(mark).length, 2, `${mark} is in ${marks} once`);
      }
      for (const entities of owners) await clock.runUntil(entities.close());
    }),
    { numRuns: 300 },
  );
});

/** Version and marks of an envelope of the test above. */
function contentOf(envelope: Uint8Array): [version: number, marks: string] {
  const text = new TextDecoder().decode(envelope);
  const [, version, marks] = /(\d+) ((?:<\d+\.\d+>)*)\0{16}$/.exec(text)!;
  return [Number(version), marks!];
}

for (const [service, conditions] of Object.entries(SERVICES)) {
  Deno.test(`a name that is too long for a service ${service} is refused for good, after a broken attempt too`, async () => {
    const clock = new ManualClock();
    const attempts = ["ambiguous", "unnameable", "unnameable"] as const;
    let attempt = 0;
    const client = new class extends MemoryClient {
      override put(): Promise<PutAnswer> {
        return Promise.reject(new ObjectError(attempts[attempt++]!, "TEST", "the test says so"));
      }
    }();
    const entities = await open(client, clock, conditions);
    for (let n = 0; n < 2; n++) {
      const commit = entities.commit({ ...AT, envelope: envelopeOf("k", 1), expected: undefined });
      assert.equal(await clock.runUntil(outcomeOf(commit)), "unnameable");
    }
    assert.equal(attempt, attempts.length);
    await clock.runUntil(entities.close());
  });
}

Deno.test("a write of which no attempt was answered is committed once it is seen, and unknown as long as it is not", async () => {
  for (const carriedOut of [true, false]) {
    const clock = new ManualClock();
    let attempts = 0;
    let mute = true;
    const client = new class extends MemoryClient {
      override async put(...request: Parameters<MemoryClient["put"]>): Promise<PutAnswer> {
        if (!mute) return await super.put(...request);
        attempts += 1;
        if (carriedOut) await super.put(...request);
        throw new ObjectError("ambiguous", "TEST", "the test says so");
      }
    }();
    const entities = await open(client, clock, ALL_CONDITIONS);
    const envelope = envelopeOf("k", 1);
    const commit = entities.commit({ ...AT, envelope, expected: undefined });
    assert.equal(await clock.runUntil(outcomeOf(commit)), carriedOut ? "committed" : "unknown");
    assert.ok(attempts > 1, `${attempts}`);
    mute = false;
    // Whichever of the attempts may still arrive would bring back what is deleted now.
    const seen = await clock.runUntil(entities.read(AT.partition, AT.name));
    assert.deepEqual(seen?.envelope, carriedOut ? envelope : undefined);
    const replacement = { ...AT, envelope: envelopeOf("k", 2), expected: seen?.token };
    const replaced = await clock.runUntil(entities.commit(replacement));
    assert.ok(replaced.kind === "committed");
    const removal = { ...AT, envelope: undefined, expected: replaced.token };
    assert.equal(await clock.runUntil(outcomeOf(entities.commit(removal))), "unavailable");
    await clock.advance(S3_DOUBT_MS);
    assert.equal(await clock.runUntil(outcomeOf(entities.commit(removal))), "committed");
    await clock.runUntil(entities.close());
    assert.equal(client.objects.has(KEY), false);
  }
});

/** A service that loses the answers to all changes of an entity, which it carries out or not, and from then on to looks too if it is mute. */
class LosingClient extends MemoryClient {
  losing: "nothing" | "requests" | "answers" = "nothing";
  mute = false;
  changes = 0;
  onChange: () => void = () => {};

  async #lose<T>(key: string, carryOut: () => Promise<T>): Promise<T> {
    if (this.losing === "nothing" || key !== KEY) return await carryOut();
    this.changes += 1;
    this.onChange();
    if (this.losing === "answers") await carryOut();
    throw new ObjectError("ambiguous", "TEST", "the test says so");
  }

  override put(...request: Parameters<MemoryClient["put"]>): Promise<PutAnswer> {
    return this.#lose(request[0], () => super.put(...request));
  }

  override delete(...request: Parameters<MemoryClient["delete"]>) {
    return this.#lose(request[0], () => super.delete(...request));
  }

  override async head(...request: Parameters<MemoryClient["head"]>) {
    if (this.mute && this.changes > 0) throw new ObjectError("ambiguous", "TEST", "the test says so");
    return await super.head(...request);
  }
}

for (const [service, conditions] of Object.entries(SERVICES)) {
  Deno.test(`a delete at a service ${service} of which no attempt was answered is done once nothing is there`, async () => {
    for (const losing of ["answers", "requests"] as const) {
      for (const mute of [false, true]) {
        const clock = new ManualClock();
        const client = new LosingClient();
        const entities = await open(client, clock, conditions);
        const created = await clock.runUntil(
          entities.commit({ ...AT, envelope: envelopeOf("k", 1), expected: undefined }),
        );
        assert.ok(created.kind === "committed");
        Object.assign(client, { losing, mute });
        const removal = entities.commit({ ...AT, envelope: undefined, expected: created.token });
        const isSeen = losing === "answers" && !mute;
        assert.equal(await clock.runUntil(outcomeOf(removal)), isSeen ? "committed" : "unknown", `${losing} ${mute}`);
        assert.ok(client.changes > 0 && client.changes <= S3_ATTEMPTS_MAX, `${client.changes} attempts`);
        assert.equal(client.objects.has(KEY), losing === "requests");
        await clock.runUntil(entities.close());
      }
    }
  });

  Deno.test(`a worker that may not write any more sends nothing to a service ${service}, and says what it knows`, async () => {
    for (const attempts of [0, 1]) {
      const clock = new ManualClock();
      const client = new LosingClient();
      let mayWrite = true;
      const entities = await open(client, clock, conditions, () => mayWrite);
      const created = await clock.runUntil(
        entities.commit({ ...AT, envelope: envelopeOf("k", 1), expected: undefined }),
      );
      assert.ok(created.kind === "committed");
      client.onChange = () => mayWrite = false;
      for (const envelope of [envelopeOf("k", 2), undefined]) {
        client.losing = "requests";
        client.changes = 0;
        mayWrite = attempts > 0;
        const commit = entities.commit({ ...AT, envelope, expected: created.token });
        assert.equal(await clock.runUntil(outcomeOf(commit)), attempts === 0 ? "unavailable" : "unknown");
        assert.equal(client.changes, attempts);
        client.losing = "nothing";
        mayWrite = true;
        await clock.advance(S3_DOUBT_MS);
      }
      await clock.runUntil(entities.close());
    }
  });
}
