/**
 * The join proof: how a processing worker shows that it knows the join secret, before it is given any key. HMAC-SHA-256
 * under the secret over everything that must not be exchanged on the way.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { JOIN_PROOF_AGE_MS_MAX } from "../limits.ts";
import type { Random } from "../seams/random.ts";

/** Object on the store's `_auth` shelf that holds the join secret of the main worker's present start. */
export const JOIN_SECRET_OBJECT = "join.key";

const CONTEXT = "deltadb/join/v1";
const JOIN_SECRET_BYTES = 32;

/** What a proof is made over. */
export interface JoinClaim {
  /** The content of the store's join secret, or the configured worker key in UTF-8; not empty. */
  readonly secret: Uint8Array;
  readonly workerId: string;
  /** Random per start of the process. */
  readonly session: string;
  /** SPKI DER of the key that the master keys will be wrapped for. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the epoch, by the worker's clock. */
  readonly timestampMs: number;
  readonly storeId: string;
}

/** `wrong`: made with another secret or over something else. `stale`: right, but too old or from too far ahead. */
export type JoinVerdict =
  | { readonly kind: "valid" }
  | { readonly kind: "refused"; readonly reason: "wrong" | "stale"; readonly message: string };

/** A fresh join secret: 32 random bytes. */
export function createJoinSecret(random: Random): Uint8Array<ArrayBuffer> {
  return random.bytes(JOIN_SECRET_BYTES);
}

/**
 * The proof, 32 bytes. Each field goes in with its length before it (u32 LE), so no two claims share an encoding.
 * @throws {TypeError} when the secret is empty: that would prove nothing.
 */
export function joinProof(claim: JoinClaim): Uint8Array {
  if (claim.secret.length === 0) throw new TypeError("the join secret is empty");
  const hmac = createHmac("sha256", claim.secret);
  const encoder = new TextEncoder();
  const fields = [CONTEXT, claim.storeId, claim.workerId, claim.session, claim.publicKey, String(claim.timestampMs)];
  const length = new DataView(new ArrayBuffer(4));
  for (const field of fields) {
    const bytes = typeof field === "string" ? encoder.encode(field) : field;
    length.setUint32(0, bytes.length, true);
    hmac.update(new Uint8Array(length.buffer)).update(bytes);
  }
  return new Uint8Array(hmac.digest());
}

/**
 * Judges a proof that came with a claim, at `nowMs` by the main worker's clock. The clocks may differ by
 * {@linkcode JOIN_PROOF_AGE_MS_MAX} in both directions. Takes the same time whichever byte of a proof is wrong.
 * @throws {TypeError} when the secret is empty.
 */
export function verifyJoinProof(proof: Uint8Array, claim: JoinClaim, nowMs: number): JoinVerdict {
  const expected = joinProof(claim);
  if (proof.length !== expected.length || !timingSafeEqual(proof, expected)) {
    return {
      kind: "refused",
      reason: "wrong",
      message: "the join proof is wrong: the worker does not know this store's join secret or the worker key",
    };
  }
  const differenceMs = Math.abs(nowMs - claim.timestampMs);
  // Written so that a timestamp that is not a number is refused too.
  if (!(differenceMs <= JOIN_PROOF_AGE_MS_MAX)) {
    return {
      kind: "refused",
      reason: "stale",
      message: `the join proof is ${Math.round(differenceMs / 1000)} s away from the main worker's clock; ` +
        `${JOIN_PROOF_AGE_MS_MAX / 1000} s are allowed: compare the clocks of the two machines`,
    };
  }
  return { kind: "valid" };
}
