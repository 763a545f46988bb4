/**
 * A sealer for simulations: real envelopes with a checksum in place of the cipher, because Web Crypto answers when the machine
 * pleases and a simulation must be the same each time.
 */
import { createHash } from "node:crypto";
import { decodeEnvelope, encodeEnvelope, IV_BYTES, TAG_BYTES } from "../../shared/crypto/envelope.ts";
import type { Sealer } from "../../shared/crypto/sealer.ts";
import { entityName } from "../../shared/names.ts";

function tag(aad: Uint8Array, document: Uint8Array): Uint8Array {
  return createHash("sha256").update(aad).update(document).digest().subarray(0, TAG_BYTES);
}

/** A {@linkcode Sealer} whose key has this id. */
export function simSealer(keyId: string): Sealer {
  return {
    keyId,
    holds: (id) => id === keyId,
    seal: (_name, header, document) => {
      const { envelope, aad } = encodeEnvelope({ ...header, keyId }, new Uint8Array(IV_BYTES), document.length);
      envelope.set(document, aad.length);
      envelope.set(tag(aad, document), aad.length + document.length);
      return Promise.resolve(envelope);
    },
    open: (name, envelope) => {
      const decoded = decodeEnvelope(envelope);
      if (decoded.kind === "malformed") return Promise.resolve({ kind: "tampered", reason: decoded.reason });
      const { header, aad, sealed } = decoded.parts;
      if (header.keyId !== keyId) return Promise.resolve({ kind: "key_unavailable", keyId: header.keyId });
      const document = sealed.slice(0, sealed.length - TAG_BYTES);
      const good = entityName(header.schemaId, header.entityKey) === name &&
        tag(aad, document).every((byte, i) => byte === sealed[document.length + i]);
      return Promise.resolve(
        good ? { kind: "opened", header, document } : { kind: "tampered", reason: "the checksum does not match" },
      );
    },
  };
}
