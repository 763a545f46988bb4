import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { JOIN_PROOF_AGE_MS_MAX } from "../limits.ts";
import { systemRandom } from "../seams/random.ts";
import { createJoinSecret, type JoinClaim, joinProof, verifyJoinProof } from "./join.ts";

const NOW = 1_800_000_000_000;
const CLAIM: JoinClaim = {
  secret: new Uint8Array(32).fill(5),
  workerId: "proc-1",
  session: "0123456789abcdef",
  publicKey: new Uint8Array(422).fill(6),
  timestampMs: NOW,
  storeId: "00112233445566778899aabbccddeeff",
};

Deno.test("a proof is HMAC-SHA-256 over the length-prefixed fields", () => {
  const field = (bytes: Uint8Array | string) => {
    const body = Buffer.from(bytes as string);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return Buffer.concat([length, body]);
  };
  const message = Buffer.concat([
    field("deltadb/join/v1"),
    field(CLAIM.storeId),
    field("proc-1"),
    field(CLAIM.session),
    field(CLAIM.publicKey),
    field("1800000000000"),
  ]);
  assert.equal(joinProof(CLAIM).toHex(), createHmac("sha256", CLAIM.secret).update(message).digest("hex"));
});

Deno.test("a right proof is valid within the window, in both directions", () => {
  const proof = joinProof(CLAIM);
  for (const offset of [0, 1, -1, JOIN_PROOF_AGE_MS_MAX, -JOIN_PROOF_AGE_MS_MAX]) {
    assert.deepEqual(verifyJoinProof(proof, CLAIM, NOW + offset), { kind: "valid" }, String(offset));
  }
  for (const offset of [JOIN_PROOF_AGE_MS_MAX + 1, -JOIN_PROOF_AGE_MS_MAX - 1, 1e12]) {
    const verdict = verifyJoinProof(proof, CLAIM, NOW + offset);
    assert.ok(verdict.kind === "refused");
    assert.equal(verdict.reason, "stale");
  }
  const verdict = verifyJoinProof(proof, CLAIM, NOW + 75_000);
  assert.match(verdict.kind === "refused" ? verdict.message : "", /75 s away.*60 s are allowed/);
});

Deno.test("a timestamp that is no number is stale, not valid", () => {
  for (const timestampMs of [NaN, Infinity, -Infinity]) {
    const claim = { ...CLAIM, timestampMs };
    assert.equal(verifyJoinProof(joinProof(claim), claim, NOW).kind, "refused");
  }
});

Deno.test("a proof is wrong for any other claim and for any other bytes", () => {
  const proof = joinProof(CLAIM);
  const others: Partial<JoinClaim>[] = [
    { secret: new Uint8Array(32).fill(4) },
    { workerId: "proc-2" },
    { session: "0123456789abcdee" },
    { publicKey: CLAIM.publicKey.with(421, 7) },
    { timestampMs: NOW + 1 },
    { storeId: "00112233445566778899aabbccddeefe" },
    // The same characters, cut elsewhere.
    { workerId: "proc-10", session: "123456789abcdef" },
    { workerId: "", session: "proc-1" + CLAIM.session },
  ];
  for (const other of others) {
    const verdict = verifyJoinProof(proof, { ...CLAIM, ...other }, NOW);
    assert.ok(verdict.kind === "refused" && verdict.reason === "wrong", Object.keys(other).join());
  }
  for (let bit = 0; bit < proof.length * 8; bit++) {
    const flipped = proof.with(bit >> 3, proof[bit >> 3]! ^ (1 << (bit & 7)));
    assert.equal(verifyJoinProof(flipped, CLAIM, NOW).kind, "refused");
  }
  for (const size of [0, 31, 33, 1000]) {
    assert.equal(verifyJoinProof(new Uint8Array(size), CLAIM, NOW).kind, "refused");
  }
});

Deno.test("no two claims share a proof", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\u0000", "é"), maxLength: 4 });
  const claim = fc.record({
    secret: fc.constant(CLAIM.secret),
    workerId: text,
    session: text,
    publicKey: fc.uint8Array({ max: 1, maxLength: 4 }),
    timestampMs: fc.nat(100),
    storeId: text,
  }, { noNullPrototype: true });
  fc.assert(fc.property(claim, claim, (a, b) => {
    const same = JSON.stringify([a, [...a.publicKey]]) === JSON.stringify([b, [...b.publicKey]]);
    assert.equal(Buffer.compare(joinProof(a), joinProof(b)) === 0, same);
  }));
});

Deno.test("an empty secret proves nothing", () => {
  const claim = { ...CLAIM, secret: new Uint8Array(0) };
  assert.throws(() => joinProof(claim), TypeError);
  assert.throws(() => verifyJoinProof(new Uint8Array(32), claim, NOW), TypeError);
});

Deno.test("a join secret is 32 random bytes", () => {
  assert.equal(createJoinSecret(systemRandom).length, 32);
  assert.notDeepEqual(createJoinSecret(systemRandom), createJoinSecret(systemRandom));
});
