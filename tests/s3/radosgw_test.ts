/**
 * The bucket engine against a real Ceph Object Gateway: the suite of all engines, failures that a person causes, rogue
 * writers, objects that somebody tampered with. Without Ceph's packages the reason is printed and nothing is tried.
 */
import assert from "assert";
import { decodeEnvelope, TAG_BYTES } from "../../shared/crypto/envelope.ts";
import { Keyring } from "../../shared/crypto/keyring.ts";
import { MasterKey } from "../../shared/crypto/master_key.ts";
import { type EntityName, splitEntityName } from "../../shared/names.ts";
import { type Clock, systemClock } from "../../shared/seams/clock.ts";
import { randomHex, systemRandom } from "../../shared/seams/random.ts";
import type { BucketEntities } from "../../shared/storage/bucket/entities.ts";
import { bytes, executingOn, text } from "../../proc_worker/execute/testing.ts";
import { envelopeKey, metaKey } from "../../shared/storage/bucket/layout.ts";
import type { ObjectClient } from "../../shared/storage/bucket/object_client.ts";
import { openS3Client } from "../../shared/storage/bucket/s3_client.ts";
import type { BucketContext, BucketOptions, BucketStore } from "../../shared/storage/bucket/store.ts";
import {
  envelopeOf,
  everyPartition,
  named,
  openPatientStore,
  openStore,
  optionsFor,
} from "../../shared/storage/bucket/testing.ts";
import { testConformance } from "../../shared/storage/conformance.ts";
import { StorageError } from "../../shared/storage/store.ts";
import { missingForRadosgw, Radosgw } from "./radosgw.ts";

const STRANGER = { accessKey: "stranger", secretKey: "strangersecret" };
const missing = await missingForRadosgw();
let gateway: Radosgw;
let buckets = 0;

function newBucket(): string {
  return `test-${++buckets}-${randomHex(systemRandom, 3)}`;
}

function open(
  bucket: string,
  more: Partial<BucketOptions> = {},
  context: Partial<BucketContext> = {},
): Promise<BucketStore> {
  return openStore(gateway.endpoint, context, { bucket, ...more });
}

async function entitiesOf(store: BucketStore): Promise<BucketEntities> {
  const entities = await store.openEntities("test");
  for (const partition of everyPartition()) await entities.take(partition);
  return entities;
}

/** Runs on a store of its own, with a client beside it that does what it likes. */
async function onStore(
  work: (entities: BucketEntities, client: ObjectClient, store: BucketStore) => Promise<void>,
): Promise<void> {
  const bucket = newBucket();
  const store = await open(bucket);
  const client = await openS3Client(optionsFor(gateway.endpoint, { bucket }), systemClock);
  try {
    await work(await entitiesOf(store), client, store);
  } finally {
    client.close();
    await store.close();
  }
}

/** The error that opening ends in. */
async function refusal(promise: Promise<BucketStore>): Promise<StorageError> {
  const error = await promise.then(async (store) => {
    await store.close();
    throw new Error("it opened");
  }, (reason) => reason);
  assert.ok(error instanceof StorageError, String(error));
  assert.doesNotMatch(error.message, /\n|minioadmin|strangersecret|wrong-secret/);
  return error;
}

const signal = () => AbortSignal.timeout(10_000);

if (missing !== undefined) {
  console.log(`tests/s3: Ceph's gateway is left out: ${missing}`);
} else {
  Deno.test.beforeAll(async () => {
    gateway = await Radosgw.start();
    await gateway.addAccount("stranger", STRANGER);
  });
  Deno.test.afterAll(() => gateway.stop());

  const traits = { exclusive: false, conditional: true, blindCreate: true, longNames: true };
  testConformance("bucket at Ceph's gateway", traits, (partitions) => {
    const bucket = newBucket();
    return Promise.resolve({
      open: () => openPatientStore(gateway.endpoint, { leaseMs: 1_500 }, { bucket, create: { partitions } }),
      dispose: () => Promise.resolve(),
    });
  });

  Deno.test("radosgw: what it honours is found out, and what it does not is said in one sentence", async () => {
    const warnings: string[] = [];
    const store = await open(newBucket(), {}, { warn: (message) => warnings.push(message) });
    await store.close();
    assert.equal(store.conditions.create, true);
    assert.notEqual(store.conditions.replace, "none");
    assert.equal(warnings.length, store.conditions.remove ? 0 : 1);
    if (!store.conditions.remove) assert.match(warnings[0]!, /conditions on DELETE/);
  });

  Deno.test("radosgw: each wrong setting is one clear line at start-up", async () => {
    const bucket = newBucket();
    await (await open(bucket)).close();
    const wrongSecret = await refusal(open(bucket, { secretKey: "wrong-secret" }));
    assert.deepEqual([wrongSecret.reason, /-s3-secret-key/.test(wrongSecret.message)], ["configuration", true]);
    const wrongKey = await refusal(open(bucket, { accessKey: "nobody" }));
    assert.deepEqual([wrongKey.reason, /-s3-access-key/.test(wrongKey.message)], ["configuration", true]);
    const denied = await refusal(open(bucket, STRANGER));
    assert.deepEqual([denied.reason, /denies access to bucket/.test(denied.message)], ["configuration", true]);
    const badName = await refusal(open("x"));
    assert.deepEqual([badName.reason, /-s3-bucket/.test(badName.message)], ["configuration", true]);
    const tls = await refusal(open(bucket, { useSsl: true }));
    assert.deepEqual([tls.reason, /-s3-use-ssl=false/.test(tls.message)], ["configuration", true]);
    const noStore = await refusal(open(newBucket(), { create: undefined }));
    assert.deepEqual([noStore.reason, /no bucket/.test(noStore.message)], ["missing", true]);
  });

  Deno.test("radosgw: a clock that is an hour off is named, with how far and in which direction", async () => {
    const bucket = newBucket();
    await (await open(bucket)).close();
    for (const [hours, word] of [[1, "ahead"], [-1, "behind"]] as const) {
      const clock: Clock = { ...systemClock, now: () => Date.now() + hours * 3_600_000 };
      const { reason, message } = await refusal(open(bucket, {}, { clock }));
      assert.equal(reason, "configuration");
      assert.match(message, new RegExp(`clocks differ.*about 60 minutes ${word}`));
    }
  });

  Deno.test("radosgw: a region that is not its own keeps a bucket from being made, and harms none that is there", async () => {
    const bucket = newBucket();
    const { reason, message } = await refusal(open(bucket, { region: "eu-central-7" }));
    assert.deepEqual([reason, /region eu-central-7: check -s3-region/.test(message)], ["configuration", true]);
    await (await open(bucket)).close();
    await (await open(bucket, { region: "eu-central-7" })).close();
  });

  Deno.test("radosgw: nobody there, and a host that is not known, end within an operation's time", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const nobody = await refusal(openStore(`127.0.0.1:${port}`));
    assert.deepEqual([nobody.reason, /cannot be reached/.test(nobody.message)], ["unavailable", true]);
    const unknown = await refusal(openStore("no.such.host.invalid:9000"));
    assert.deepEqual([unknown.reason, /host name/.test(unknown.message)], ["unavailable", true]);
  });

  Deno.test("radosgw: while the gateway is down operations fail, and go on when it is back", async () => {
    await onStore(async (entities, _, store) => {
      const at = named("k");
      const first = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
      assert.ok(first.kind === "committed");
      await gateway.stopGateway();
      try {
        await assert.rejects(store.probe(), StorageError);
        await assert.rejects(entities.read(at.partition, at.name), { reason: "unavailable" });
        const write = { ...at, envelope: envelopeOf("k", 2), expected: first.token };
        const { reason } = await entities.commit(write).then(() => assert.fail("it committed"), (error) => error);
        assert.match(reason, /^(unavailable|unknown)$/);
      } finally {
        await gateway.startGateway();
      }
      await store.probe();
      const second = envelopeOf("k", 2);
      assert.equal((await entities.commit({ ...at, envelope: second, expected: first.token })).kind, "committed");
      assert.deepEqual((await entities.read(at.partition, at.name))?.envelope, second);
    });
  });

  Deno.test("radosgw: a gateway that hangs leaves the outcome unknown, never wrong", async () => {
    await onStore(async (entities) => {
      const at = named("k");
      const first = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
      assert.ok(first.kind === "committed");
      const second = envelopeOf("k", 2, "second");
      try {
        await gateway.pauseGateway();
        const write = entities.commit({ ...at, envelope: second, expected: first.token });
        await assert.rejects(write, { reason: "unknown" });
      } finally {
        gateway.resumeGateway();
      }
      // What hung may be carried out now. A third write, decided on what is there, must not be undone by it.
      for (;;) {
        const seen = await entities.read(at.partition, at.name);
        const third = envelopeOf("k", 3, "third");
        try {
          const outcome = await entities.commit({ ...at, envelope: third, expected: seen?.token });
          if (outcome.kind === "conflict") continue;
        } catch (error) {
          // The gateway answers some of those that race with what hung with status 500; whoever is told so looks again.
          if (!(error instanceof StorageError) || error.reason !== "unknown") throw error;
          continue;
        }
        assert.deepEqual((await entities.read(at.partition, at.name))?.envelope, third);
        break;
      }
    });
  });

  Deno.test("radosgw: two rogue writers on one object never lose an update", async () => {
    await onStore(async (one, _client, store) => {
      const two = await entitiesOf(store);
      const at = named("shared");
      // Each write adds its own mark to what it has read; a lost update would take marks with it.
      const acknowledged: string[] = [];
      await Promise.all([one, two, one, two].map(async (entities, writer) => {
        for (let round = 0; round < 40; round++) {
          const seen = await entities.read(at.partition, at.name);
          const mark = `${writer}.${round} `;
          const [version, text] = seen === undefined ? [0, ""] : contentOf(seen.envelope);
          const envelope = envelopeOf("shared", version + 1, text + mark);
          try {
            const outcome = await entities.commit({ ...at, envelope, expected: seen?.token });
            if (outcome.kind === "committed") acknowledged.push(mark);
          } catch (error) {
            // The gateway answers some losers of a race with status 500, and nobody can tell when more wrote since.
            if (!(error instanceof StorageError) || error.reason !== "unknown") throw error;
          }
        }
      }));
      const [, text] = contentOf((await one.read(at.partition, at.name))!.envelope);
      assert.ok(acknowledged.length >= 40, `${acknowledged.length} writes were acknowledged`);
      assert.deepEqual(acknowledged.filter((mark) => !text.includes(mark)), []);
      const marks = text.trim().split(" ");
      assert.equal(new Set(marks).size, marks.length);
    });
  });

  Deno.test("radosgw: rogue creators of one object: one of them wins, each time", async () => {
    await onStore(async (one, _client, store) => {
      const two = await entitiesOf(store);
      for (let round = 0; round < 20; round++) {
        const at = named(`new-${round}`);
        const envelopes = [envelopeOf("new", 1, "a"), envelopeOf("new", 1, "b"), envelopeOf("new", 1, "c")];
        const outcomes = await Promise.all(
          envelopes.map((envelope, index) =>
            (index % 2 === 0 ? one : two).commit({ ...at, envelope, expected: undefined })
          ),
        );
        const winners = outcomes.flatMap((outcome, index) => outcome.kind === "committed" ? [index] : []);
        assert.equal(winners.length, 1);
        assert.deepEqual((await one.read(at.partition, at.name))?.envelope, envelopes[winners[0]!]);
      }
    });
  });

  Deno.test("radosgw: two rogue owners, each with its cache: what was acknowledged is in the document, and each creator knows", async () => {
    await onStore(async (one, _client, store) => {
      const owners = [await executingOn(one), await executingOn(await entitiesOf(store))];
      const opId = () => randomHex(systemRandom, 16);
      const acknowledged: string[] = [];
      await Promise.all(owners.map(async (owner, index) => {
        await owner.put("shared", "{}", { opId: opId(), ifNoneMatch: ["*"] });
        for (let round = 0; round < 40; round++) {
          const field = `${index}.${round}`;
          const result = await owner.run(
            owner.op("patch", "shared", { opId: opId(), payload: bytes(`{"${field}":1}`) }),
          );
          if (result.kind === "stored") acknowledged.push(field);
        }
      }));
      const last = await (await executingOn(one)).get("shared");
      assert.ok(last.kind === "found");
      const document = JSON.parse(text(last.document));
      assert.ok(acknowledged.length >= 40, `${acknowledged.length} patches were acknowledged`);
      assert.deepEqual(acknowledged.filter((field) => !(field in document)), []);

      for (let round = 0; round < 20; round++) {
        const results = await Promise.all(
          owners.map((owner, index) => owner.put(`new-${round}`, `${index}`, { opId: opId(), ifNoneMatch: ["*"] })),
        );
        const winner = results.findIndex(({ kind }) => kind === "stored");
        const [won, lost] = [results[winner], results[1 - winner]];
        assert.ok(won?.kind === "stored" && lost?.kind === "failed", JSON.stringify(results));
        assert.deepEqual([lost.code, lost.current?.etag], ["version_mismatch", won.meta.etag]);
        const found = await owners[1 - winner]!.get(`new-${round}`);
        assert.equal(found.kind === "found" && text(found.document), `${winner}`);
      }
    });
  });

  Deno.test("radosgw: a tampered object is never another document", async () => {
    await onStore(async (entities, client) => {
      const current = new MasterKey("main-key-v1", new Uint8Array(32).fill(0xab));
      const keyring = new Keyring({ current, random: systemRandom });
      const seal = (name: EntityName, version: number, text: string) => {
        const { schemaId, key } = splitEntityName(name)!;
        const header = { schemaId, entityKey: key, version, opId: randomHex(systemRandom, 16), writtenAtMs: 0 };
        return keyring.seal(name, header, new TextEncoder().encode(text));
      };
      const [a, b] = [named("a"), named("b")];
      const first = await seal(a.name, 1, "a, first");
      const created = await entities.commit({ ...a, envelope: first, expected: undefined });
      assert.ok(created.kind === "committed");
      const second = await seal(a.name, 2, "a, second");
      const replaced = await entities.commit({ ...a, envelope: second, expected: created.token });
      assert.ok(replaced.kind === "committed");
      await entities.commit({ ...b, envelope: await seal(b.name, 1, "b"), expected: undefined });

      const openedAt = async (at: typeof a) => {
        const stored = await entities.read(at.partition, at.name);
        return await keyring.open(at.name, stored!.envelope);
      };
      await client.put(envelopeKey(a.name), new TextEncoder().encode("written by hand"), undefined, signal());
      assert.equal((await openedAt(a)).kind, "tampered");
      await client.put(envelopeKey(a.name), second.slice(0, -1), undefined, signal());
      assert.equal((await openedAt(a)).kind, "tampered");
      await client.put(envelopeKey(a.name), new Uint8Array(), undefined, signal());
      assert.equal((await openedAt(a)).kind, "tampered");
      await client.put(envelopeKey(b.name), second, undefined, signal());
      assert.equal((await openedAt(b)).kind, "tampered");

      // Rolled back while the owner has the second version cached: its next write is refused and decided again.
      await client.put(envelopeKey(a.name), first, undefined, signal());
      const third = await seal(a.name, 3, "a, third");
      assert.equal((await entities.commit({ ...a, envelope: third, expected: replaced.token })).kind, "conflict");
      const rolledBack = await openedAt(a);
      assert.ok(rolledBack.kind === "opened");
      assert.equal(new TextDecoder().decode(rolledBack.document), "a, first");
      assert.equal(rolledBack.header.version, 1);
      keyring.destroy();
    });
  });

  Deno.test("radosgw: meta.json objects are there after a while, and gone with their entities", async () => {
    await onStore(async (entities, client) => {
      const at = named("k");
      const created = await entities.commit({ ...at, envelope: envelopeOf("k", 1), expected: undefined });
      assert.ok(created.kind === "committed");
      const metaThere = async () => await client.get(metaKey(at.name), signal());
      const until = async (there: boolean) => {
        while ((await metaThere() !== undefined) !== there) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      await until(true);
      assert.equal(JSON.parse(new TextDecoder().decode((await metaThere())?.bytes)).version, 1);
      await client.delete(metaKey(at.name), undefined, signal());
      await entities.maintain();
      assert.notEqual(await metaThere(), undefined);
      await entities.commit({ ...at, envelope: undefined, expected: created.token });
      await until(false);
    });
  });
}

/** Version and text of a test envelope. */
function contentOf(envelope: Uint8Array): [version: number, text: string] {
  const decoded = decodeEnvelope(envelope);
  assert.ok(decoded.kind === "decoded");
  const { header, sealed } = decoded.parts;
  return [header.version, new TextDecoder().decode(sealed.subarray(0, -TAG_BYTES))];
}
